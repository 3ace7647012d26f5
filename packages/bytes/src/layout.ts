/**
 * layout: an on-disk record described once. The table is the code: offsets are checked for gaps
 * and overlaps when the module loads, records are read and written through it, and docs/FORMAT.md
 * is compared with it by a test. All numbers are little-endian.
 */

/** How a field is stored; a number is that many raw bytes. u48 and u64 carry safe integers. */
export type FieldType = 'u8' | 'u16' | 'u32' | 'u48' | 'u64' | number;

/** One row of a record's table. */
export interface Field {
  readonly offset: number;
  readonly name: string;
  readonly type: FieldType;
  readonly meaning: string;
}

type ValueOf<Type> = Type extends number ? Uint8Array : number;

/** The values of a record by field name. */
export type RecordOf<Fields extends readonly Field[]> = {
  -readonly [F in Fields[number] as F['name']]: ValueOf<F['type']>;
};

/** A record's table together with what reads and writes it. */
export interface Layout<Fields extends readonly Field[] = readonly Field[]> {
  /** Bytes in the record. */
  readonly size: number;
  readonly fields: Fields;
  /** The byte offset of each field. */
  readonly at: { readonly [F in Fields[number] as F['name']]: number };
  /** Writes every field at `base`. */
  encode(bytes: Uint8Array, base: number, values: RecordOf<Fields>): void;
  /** Reads every field at `base`; raw bytes are copied. */
  decode(bytes: Uint8Array, base: number): RecordOf<Fields>;
}

/** Bytes that a field takes. */
export function fieldSize(type: FieldType): number {
  if (typeof type === 'number') return type;
  return Number(type.slice(1)) / 8;
}

/**
 * Describes a record of `size` bytes.
 * @throws {RangeError} when the fields leave a gap, overlap, or do not fill `size`: a record says
 * what each of its bytes is, reserved ones included.
 */
export function layout<const Fields extends readonly Field[]>(
  size: number,
  fields: Fields,
): Layout<Fields> {
  let end = 0;
  for (const field of fields) {
    if (field.offset !== end) {
      throw new RangeError(`field ${field.name} is at ${field.offset}, expected ${end}`);
    }
    end += fieldSize(field.type);
  }
  if (end !== size) throw new RangeError(`the fields fill ${end} of ${size} bytes`);
  return {
    size,
    fields,
    at: Object.fromEntries(
      fields.map((field) => [field.name, field.offset]),
    ) as Layout<Fields>['at'],
    encode(bytes, base, values) {
      const view = viewOf(bytes);
      for (const field of fields) {
        const value = (values as Record<string, number | Uint8Array>)[field.name];
        const at = base + field.offset;
        if (value instanceof Uint8Array) bytes.set(value.subarray(0, fieldSize(field.type)), at);
        else writeNumber(view, at, field.type, value as number);
      }
    },
    decode(bytes, base) {
      const view = viewOf(bytes);
      return Object.fromEntries(
        fields.map((field) => [
          field.name,
          typeof field.type === 'number'
            ? bytes.slice(base + field.offset, base + field.offset + field.type)
            : readNumber(view, base + field.offset, field.type),
        ]),
      ) as RecordOf<Fields>;
    },
  };
}

/** A DataView over exactly the bytes of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads an unsigned 48-bit number. */
export function getU48(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint16(at + 4, true) * 0x1_0000_0000;
}

/** Writes an unsigned 48-bit number. */
export function setU48(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 0x1_0000_0000, true);
  view.setUint16(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

function readNumber(view: DataView, at: number, type: FieldType): number {
  switch (type) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'u48':
      return getU48(view, at);
    default:
      // Above 2^53 precision is lost: no field of ours gets there, and every reader checks ranges.
      return Number(view.getBigUint64(at, true));
  }
}

function writeNumber(view: DataView, at: number, type: FieldType, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${value} is not an unsigned integer`);
  }
  switch (type) {
    case 'u8':
      view.setUint8(at, value);
      break;
    case 'u16':
      view.setUint16(at, value, true);
      break;
    case 'u32':
      view.setUint32(at, value, true);
      break;
    case 'u48':
      setU48(view, at, value);
      break;
    default:
      view.setBigUint64(at, BigInt(value), true);
  }
}
