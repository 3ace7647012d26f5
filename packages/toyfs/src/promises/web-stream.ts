/**
 * The rest of an open file as a web stream: of ArrayBuffers, or of bytes that a reader brings room for.
 */
import { Buffer } from 'node:buffer';
import type { FileHandle } from './file-handle.js';
import { codedError, invalidType } from './node-errors.js';

/** Bytes read at a time. */
const PART = 16_384;

/** Holds the handle until the stream has ended. */
export function webStream(
  handle: FileHandle,
  { type }: { readonly type?: string },
): ReadableStream {
  if (type !== undefined && typeof type !== 'string') {
    throw invalidType('options.type', 'of type string', type);
  }
  let isHeld = true;
  const letGo = (): void => {
    if (!isHeld) return;
    isHeld = false;
    handle.unref();
  };
  handle.ref();
  const stream = type === 'bytes' ? ofBytes(handle, letGo) : ofBuffers(handle, letGo);
  handle.once('close', () => {
    // A stream that somebody reads cannot be cancelled: that reader hears of it with the next read.
    letGo();
    stream.cancel().catch((error: unknown) => error);
  });
  return stream;
}

/** The error for a handle that cannot become a stream. */
export function invalidState(what: string): Error {
  const message = `Invalid state: The FileHandle is ${what}`;
  return codedError(new Error(message), 'ERR_INVALID_STATE');
}

function ofBytes(handle: FileHandle, letGo: () => void): ReadableStream {
  return new ReadableStream({
    type: 'bytes',
    autoAllocateChunkSize: PART,
    async pull(controller): Promise<void> {
      const request = controller.byobRequest;
      if (request?.view === null || request?.view === undefined) return;
      const { bytesRead } = await handle.read(request.view as Uint8Array);
      if (bytesRead === 0) {
        letGo();
        controller.close();
      }
      request.respond(bytesRead);
    },
    cancel: letGo,
  });
}

function ofBuffers(handle: FileHandle, letGo: () => void): ReadableStream {
  return new ReadableStream({
    async pull(controller): Promise<void> {
      const buffer = Buffer.alloc(PART);
      const { bytesRead } = await handle.read(buffer);
      if (bytesRead === 0) {
        letGo();
        controller.close();
        return;
      }
      controller.enqueue(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + bytesRead));
    },
    cancel: letGo,
  });
}
