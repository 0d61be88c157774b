import { generateAgentKey, agentPublicKey } from '../../src/agent/agent-keys.ts'
import { enrol, readJoinLink } from '../../src/agent/enrol.ts'
import type { Enrolment } from '../../src/agent/state-dir.ts'
import { readMachine } from '../../src/gpu/machine.ts'
import type { GpuInventory } from '../../src/protocol/gpu.ts'
import { orders, say } from '../harness/orders.ts'
import type { CrowdOrder, CrowdTarget } from './crowd-order.ts'
import { CrowdMember } from './crowd-member.ts'

/** Machines that enrol or connect at the same time, well below what the server takes from strangers. */
const atOnce = 32

/** A card as a typical member has it, so that inventories and heartbeats have their usual size. */
const gpu: GpuInventory = {
  id: 'GPU-5a1c3f0e-8a0f-4c1e-9a5e-2f0e6f0d9b11',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA GeForce RTX 4070',
  vramTotalMb: 12_282,
  driverVersion: '570.86.15',
  computeCapability: '8.9',
  pciBusId: '00000000:01:00.0',
  source: 'nvidia-smi',
}

const inventory = await readMachine({ gpus: [gpu] })
const enrolled: Enrolment[] = []
let members: CrowdMember[] = []

async function perform(order: CrowdOrder): Promise<object> {
  switch (order.event) {
    case 'enrol':
      await inParallel(order.count, () => enrolOne(order.link))
      return {}
    case 'connect':
      await inParallel(order.count - members.length, () => connectOne(order.to))
      return {}
    case 'beat':
      return await beat(order.everyMs, order.forMs)
    case 'close':
      await Promise.all(members.map(member => member.close()))
      members = []
      return {}
  }
}

async function inParallel(count: number, act: () => Promise<void>): Promise<void> {
  let left = count
  const lane = async () => {
    while (left-- > 0) await act()
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

async function enrolOne(text: string): Promise<void> {
  const link = readJoinLink(text)
  if ('problem' in link) throw new Error(link.problem)
  const privateKeyPem = generateAgentKey()
  const name = `machine-${enrolled.length}`
  const outcome = await enrol(link, {
    publicKey: agentPublicKey(privateKeyPem),
    name,
    region: null,
    inventory,
  })
  if ('problem' in outcome) throw new Error(outcome.problem)
  const { agentId, apiKey, controlPort } = outcome.response
  const { origin, caFingerprint } = link
  enrolled.push({
    identity: { agentId, apiKey, controlPort, origin, caFingerprint, name, region: null },
    privateKeyPem,
    caPem: outcome.caPem,
  })
}

async function connectOne(target: CrowdTarget): Promise<void> {
  const enrolment = enrolled[members.length]
  if (enrolment === undefined) throw new Error('more connections than enrolled machines')
  const member = new CrowdMember(enrolment, inventory)
  members.push(member)
  await member.connect(target)
}

async function beat(everyMs: number, forMs: number) {
  const before = acknowledgedByAll()
  let sent = 0
  const timers = members.map((member, at) => {
    let timer: Timer
    const send = () => {
      member.beat()
      sent++
      timer = setTimeout(send, everyMs)
    }
    timer = setTimeout(send, (at * everyMs) / members.length)
    return () => clearTimeout(timer)
  })
  await Bun.sleep(forMs)
  for (const stop of timers) stop()
  return { sent, acknowledged: acknowledgedByAll() - before }
}

const acknowledgedByAll = (): number =>
  members.reduce((sum, member) => sum + member.acknowledged, 0)

for await (const order of orders<CrowdOrder>())
  say({ event: order.event, ...(await perform(order)) })
