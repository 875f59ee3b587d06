import { status } from '@grpc/grpc-js';
import { refusedField } from '../../../core/fleet/message-bounds.ts';
import type { Hello, Up } from '../../../core/fleet/messages.ts';
import type { After } from '../../../core/runtime/timers.ts';
import { endStream } from '../stream-end.ts';
import type { FollowingSidecar, SidecarCall } from './follower.ts';

/** Longest wait for Hello. */
const HELLO_MS = 10_000;

/** What becomes of a stream. */
interface StreamEvents {
  readonly after: After;
  /** Connects the sidecar that says Hello; `null` if it is refused, and its stream has ended. */
  readonly connect: (hello: Hello) => Promise<FollowingSidecar | null>;
  readonly heard: (follower: FollowingSidecar, up: Up) => void;
  /** Called once, when the stream is over. */
  readonly over: () => void;
  /** Called with the connected sidecar once its stream is over. */
  readonly left: (follower: FollowingSidecar) => void;
}

/**
 * Reads a stream: its first message must be Hello, within 10 s. Messages that arrive before its sidecar is connected are dropped.
 */
export function followAfterHello(call: SidecarCall, { after, connect, heard, over, left }: StreamEvents): void {
  let follower: FollowingSidecar | 'none' | 'begun' = 'none';
  const cancelHello = after(HELLO_MS, () => endStream(call, status.DEADLINE_EXCEEDED, 'no Hello in 10 s'));
  let isOver = false;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    cancelHello();
    over();
    if (typeof follower === 'object') left(follower);
  };
  for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, end);
  // Half-closed: the sidecar says nothing more, so its stream ends on this side too.
  call.on('end', () => {
    end();
    call.end();
  });
  const begin = async (hello: Hello): Promise<void> => {
    const connected = await connect(hello);
    if (connected === null) return;
    follower = connected;
    if (isOver) left(connected);
  };
  call.on('data', (up: Up) => {
    if (isOver || follower === 'begun') return;
    const beyond = refusedField('Up', up);
    if (beyond !== null) return endStream(call, status.INVALID_ARGUMENT, beyond);
    if (typeof follower === 'object') return heard(follower, up);
    if (up.of !== 'hello') return endStream(call, status.INVALID_ARGUMENT, 'the first message must be Hello');
    follower = 'begun';
    cancelHello();
    void begin(up.hello);
  });
}
