import type { GgufCursor } from './gguf-cursor.ts'

/** A metadata value. 64-bit integers are numbers where those are exact, else big integers. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[]

const valueLimits = {
  stringBytesMax: 16 * 1024 * 1024,
  arrayElementsMax: 4 * 1024 * 1024,
  arrayDepthMax: 3,
} as const

/** Fewest bytes that one element of a type takes in the file; a count that cannot fit is refused before it is read. */
const elementBytesMin = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8] as const
const typeString = 8
const typeArray = 9

const plain = (value: bigint): number | bigint =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value

/** Reads one value of the given type number; a problem sticks in the cursor. */
export function readGgufValue(cursor: GgufCursor, type: number, depth: number): GgufValue {
  switch (type) {
    case 0:
      return cursor.u8()
    case 1:
      return cursor.i8()
    case 2:
      return cursor.u16()
    case 3:
      return cursor.i16()
    case 4:
      return cursor.u32()
    case 5:
      return cursor.i32()
    case 6:
      return cursor.f32()
    case 7:
      return cursor.u8() !== 0
    case typeString:
      return cursor.string(valueLimits.stringBytesMax, 'a metadata text')
    case typeArray:
      return readArray(cursor, depth)
    case 10:
      return plain(cursor.u64())
    case 11:
      return plain(cursor.i64())
    case 12:
      return cursor.f64()
    default:
      cursor.refuse(`metadata value type ${type} is unknown`)
      return 0
  }
}

function readArray(cursor: GgufCursor, depth: number): readonly GgufValue[] {
  const type = cursor.u32()
  const count = cursor.count(valueLimits.arrayElementsMax, 'the number of elements of an array')
  if (depth >= valueLimits.arrayDepthMax)
    cursor.refuse(`arrays are nested deeper than ${valueLimits.arrayDepthMax}`)
  const bytesMin = elementBytesMin[type]
  if (bytesMin === undefined) cursor.refuse(`array element type ${type} is unknown`)
  else if (count * bytesMin > cursor.left)
    cursor.refuse(`an array of ${count} elements does not fit into the rest of the file`)
  const values: GgufValue[] = []
  for (let i = 0; i < count && cursor.refusal === null; i++)
    values.push(readGgufValue(cursor, type, depth + 1))
  return values
}
