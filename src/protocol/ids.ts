import { Type } from 'typebox'

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** One enrolled machine; a UUID made by the server at enrolment. */
export type AgentId = Branded<'AgentId'>
/** One client request through its whole life, all attempts included. */
export type JobId = Branded<'JobId'>
/** One placement of one model on one agent; survives a restart of the worker process behind it. */
export type InstanceId = Branded<'InstanceId'>

const uuidPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
const uuidRegex = new RegExp(uuidPattern)

export const AgentIdSchema = Type.Unsafe<AgentId>(Type.String({ pattern: uuidPattern }))
export const JobIdSchema = Type.Unsafe<JobId>(Type.String({ pattern: uuidPattern }))
export const InstanceIdSchema = Type.Unsafe<InstanceId>(Type.String({ pattern: uuidPattern }))

export const newAgentId = (): AgentId => crypto.randomUUID() as AgentId
export const newJobId = (): JobId => crypto.randomUUID() as JobId
export const newInstanceId = (): InstanceId => crypto.randomUUID() as InstanceId

export const isAgentId = (text: string): text is AgentId => uuidRegex.test(text)
