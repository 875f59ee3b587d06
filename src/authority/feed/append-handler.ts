import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { emitterNameFrom } from '../records/emitter.ts';
import type { EmitterPeer } from '../records/emitter.ts';
import type { ReceivedStream, StreamRefusal } from '../records/received-stream.ts';
import type { Receiver } from '../records/receiver.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { refusedField } from '../../core/fleet/message-bounds.ts';
import type { Appended, Records } from '../../core/fleet/messages.ts';

/** Largest message of a sidecar, twice what this version sends: it is checked in one go. */
const MAX_LEAVES = 1_024;
const MAX_BYTES = 1024 ** 2;
const MAX_NOTE = 4_096;
/** Acknowledgements that wait for a client that does not read. */
const MAX_QUEUED_BYTES = 16_384;

/** A call of `Append` at an authority. */
export type AppendCall = ServerDuplexStream<Records, Appended>;

/**
 * Answers a call of `Append`: binds the log to the caller, acknowledges what is kept, and refuses what does not continue the log. Messages
 * are handled one at a time; meanwhile no other is read.
 *
 * @param peer the caller, by its certificate
 */
export function handleAppend(call: AppendCall, receiver: Pick<Receiver, 'connect'>, peer: EmitterPeer): void {
  let stream: ReceivedStream | null = null;
  let isOver = false;
  let size = 0;

  const over = (problem: string): void => {
    if (isOver) return;
    isOver = true;
    call.emit('error', { code: status.UNAVAILABLE, details: problem });
  };
  const refuse = ({ problem, isLater }: StreamRefusal): void => {
    if (isLater) return over(problem);
    if (isOver) return;
    isOver = true;
    call.write({ size, problem });
    call.end();
  };
  const onKept = (kept: number): void => {
    size = kept;
    // Before the stream begins the size still grows, and the client continues from the first size it receives.
    // A client that does not read gets a later size, which covers all earlier sizes.
    if (!isOver && stream !== null && call.writableLength < MAX_QUEUED_BYTES) call.write({ size, problem: '' });
  };

  /** @param isWhole whether the client announced the end of its log */
  const end = async (isWhole: boolean): Promise<void> => {
    await stream?.end(isWhole && !isOver);
    if (!isOver) call.end();
    isOver = true;
  };

  const handle = async (message: Records): Promise<void> => {
    const { log, from, leaves, checkpoint, ended } = message;
    const bytes = leaves.reduce((sum, leaf) => sum + leaf.length, 0);
    if (leaves.length > MAX_LEAVES || bytes > MAX_BYTES || checkpoint.length > MAX_NOTE) {
      return refuse({
        problem: `a message has at most ${MAX_LEAVES} records of ${MAX_BYTES} bytes in all`,
        isLater: false,
      });
    }
    const beyond = refusedField('Records', message);
    if (beyond !== null) return refuse({ problem: beyond, isLater: false });
    if (stream === null) {
      if (log === null) return refuse({ problem: 'the first message must name the log', isLater: false });
      const name = emitterNameFrom({ origin: log.origin, verifierKey: log.verifier_key }, peer);
      if (isProblem(name)) return refuse({ ...name, isLater: false });
      const begun = await receiver.connect(name, log.size, { onKept, onOver: over });
      if (isProblem(begun)) return refuse(begun);
      stream = begun;
      // The client may have gone while an earlier stream of its log was waited for.
      if (isOver) return begun.end(false);
      return onKept(begun.size);
    }
    const refused = await stream.receive({ from, leaves, checkpoint });
    if (refused !== null) return refuse(refused);
    if (ended) await end(true);
  };

  /** Handles events one after the other. */
  let handling: Promise<void> = Promise.resolve();
  const then = (next: () => Promise<void>): void => {
    const turn = async (before: Promise<void>): Promise<void> => {
      await before;
      try {
        await next();
      } catch (error) {
        over(`internal error: ${String(error)}`);
      }
    };
    handling = turn(handling);
  };
  call.on('data', (message: Records) => {
    call.pause();
    then(async () => {
      if (!isOver) await handle(message);
      call.resume();
    });
  });
  // The end of a killed client looks like that of a client that has sent all.
  call.on('end', () => then(() => end(false)));
  call.on('cancelled', () => then(() => end(false)));
}
