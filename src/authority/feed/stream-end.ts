import type { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';

/** Ends a stream with a status, unless it has ended. */
export function endStream(call: ServerDuplexStream<unknown, unknown>, code: status, details: string): void {
  if (!call.cancelled && !call.destroyed) call.emit('error', { code, details });
}
