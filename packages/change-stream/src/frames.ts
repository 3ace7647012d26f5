/**
 * The layouts of a change stream: frames, each a fixed head and a body. docs/STREAM.md is printed from
 * these tables.
 *
 *   CS1  A frame's checksum covers its head and its body and is seeded with that of the frame before,
 *        so the last one vouches for the whole stream, its order and that nothing is missing.
 */
import { type Layout, layout } from '@palimpsest/bytes';

/** "PALS" as a little-endian number: the first bytes of every frame. */
export const FRAME_MAGIC = 0x534c_4150;
/** The version that this code writes, and the only one that it reads. */
export const STREAM_VERSION = 1;
/** The seed of the first frame's checksum. */
export const FIRST_SEED = 0x7061_6c31;

/** Kinds of frames. */
export const HEADER = 1;
export const DATA = 2;
export const ZEROS = 3;
export const CHECKPOINT = 4;
export const TRAILER = 5;

/** Bytes of data in one frame at most: what a receiver must hold. */
export const DATA_MAX: number = 1 << 20;
/** Bytes of the header's description at most. */
export const DESCRIPTION_MAX: number = 1 << 16;

/** The head of every frame. */
export const FRAME: Layout<
  readonly [
    { offset: 0; name: 'magic'; type: 'u32'; meaning: string },
    { offset: 4; name: 'kind'; type: 'u16'; meaning: string },
    { offset: 6; name: 'reserved'; type: 'u16'; meaning: string },
    { offset: 8; name: 'sequence'; type: 'u48'; meaning: string },
    { offset: 14; name: 'length'; type: 'u32'; meaning: string },
    { offset: 18; name: 'checksum'; type: 'u32'; meaning: string },
  ]
> = layout(22, [
  { offset: 0, name: 'magic', type: 'u32', meaning: '`PALS`' },
  {
    offset: 4,
    name: 'kind',
    type: 'u16',
    meaning: '1 header, 2 data, 3 zeros, 4 checkpoint, 5 trailer',
  },
  { offset: 6, name: 'reserved', type: 'u16', meaning: '0' },
  { offset: 8, name: 'sequence', type: 'u48', meaning: '0 for the header, one more each frame' },
  { offset: 14, name: 'length', type: 'u32', meaning: 'bytes of the body that follows' },
  {
    offset: 18,
    name: 'checksum',
    type: 'u32',
    meaning:
      'CRC-32 of the head (this field as 0) and the body, seeded with that of the frame before',
  },
]);

/** The start of a data frame's body; the bytes follow. */
export const DATA_BODY: Layout<
  readonly [{ offset: 0; name: 'position'; type: 'u64'; meaning: string }]
> = layout(8, [
  {
    offset: 0,
    name: 'position',
    type: 'u64',
    meaning: 'byte of the volume that the data starts at',
  },
]);

/** The body of a frame of zeros. */
export const ZEROS_BODY: Layout<
  readonly [
    { offset: 0; name: 'position'; type: 'u64'; meaning: string },
    { offset: 8; name: 'length'; type: 'u64'; meaning: string },
  ]
> = layout(16, [
  {
    offset: 0,
    name: 'position',
    type: 'u64',
    meaning: 'byte of the volume that the zeros start at',
  },
  { offset: 8, name: 'length', type: 'u64', meaning: 'bytes that are zeros now' },
]);

/** The body of a checkpoint. */
export const CHECKPOINT_BODY: Layout<
  readonly [{ offset: 0; name: 'position'; type: 'u64'; meaning: string }]
> = layout(8, [
  {
    offset: 0,
    name: 'position',
    type: 'u64',
    meaning:
      'every change before this byte has been sent: a receiver that has made it durable is resumed here',
  },
]);

/** The body of the trailer, the last frame. */
export const TRAILER_BODY: Layout<
  readonly [
    { offset: 0; name: 'records'; type: 'u64'; meaning: string },
    { offset: 8; name: 'dataBytes'; type: 'u64'; meaning: string },
    { offset: 16; name: 'zeroBytes'; type: 'u64'; meaning: string },
  ]
> = layout(24, [
  {
    offset: 0,
    name: 'records',
    type: 'u64',
    meaning: 'frames of data and of zeros in this stream',
  },
  { offset: 8, name: 'dataBytes', type: 'u64', meaning: 'bytes of data in them' },
  { offset: 16, name: 'zeroBytes', type: 'u64', meaning: 'bytes that they say are zeros' },
]);
