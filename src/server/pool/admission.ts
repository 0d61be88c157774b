import type { Failure } from '../../protocol/errors.ts'
import { limits } from '../../protocol/limits.ts'
import type { Departure } from './flight.ts'
import type { FlightTable } from './flight-table.ts'

/** One job on the wire; a continuation's token ids need room beside it. */
const jobBytesMax = limits.controlMessageBytesMax / 2

/**
 * Why a request is not even looked at; null: it is. Escapes and long numbers make the job larger than the body it came
 * in.
 */
export function admissionRefusal(departure: Departure, flights: FlightTable): Failure | null {
  if (departure.wireBytes > jobBytesMax) return tooLarge
  return flights.hasRoomFor(departure) ? null : overloaded
}

export const shuttingDown: Failure = {
  code: 'server_shutting_down',
  message: 'the server is restarting',
}

export const tooLarge: Failure = {
  code: 'payload_too_large',
  message: 'the request is too large to be sent to an agent',
}

const overloaded: Failure = {
  code: 'queue_full',
  message: 'the requests that wait or run hold too much memory already; try again shortly',
}
