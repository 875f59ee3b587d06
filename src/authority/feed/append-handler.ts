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
/** Acknowledgements queued for a client that does not read. The stream is in object mode: this counts messages, not bytes. */
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
  const appending = new Appending(call, receiver, peer);
  const inTurn = oneAtATime((error) => appending.over(`internal error: ${String(error)}`));
  call.on('data', (message: Records) => {
    call.pause();
    inTurn(async () => {
      await appending.take(message);
      call.resume();
    });
  });
  // The end of a killed client looks like that of a client that has sent all.
  call.on('end', () => inTurn(() => appending.end(false)));
  call.on('cancelled', () => inTurn(() => appending.end(false)));
}

/** Runs events one after the other, and goes on after an exception. */
function oneAtATime(onFault: (error: unknown) => void): (next: () => Promise<void>) => void {
  let handling: Promise<void> = Promise.resolve();
  const turn = async (before: Promise<void>, next: () => Promise<void>): Promise<void> => {
    await before;
    try {
      await next();
    } catch (error) {
      onFault(error);
    }
  };
  return (next) => {
    handling = turn(handling, next);
  };
}

/** A call of `Append`: it begins with its first message, and is over once, by its client or by a refusal. */
class Appending {
  readonly #call: AppendCall;
  readonly #receiver: Pick<Receiver, 'connect'>;
  readonly #peer: EmitterPeer;
  #stream: ReceivedStream | null = null;
  #isOver = false;
  #size = 0;

  constructor(call: AppendCall, receiver: Pick<Receiver, 'connect'>, peer: EmitterPeer) {
    this.#call = call;
    this.#receiver = receiver;
    this.#peer = peer;
  }

  /** Fails the call, so that the client tries again later. */
  over(problem: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call.emit('error', { code: status.UNAVAILABLE, details: problem });
  }

  /** @param isWhole whether the client announced the end of its log */
  async end(isWhole: boolean): Promise<void> {
    await this.#stream?.end(isWhole && !this.#isOver);
    if (!this.#isOver) this.#call.end();
    this.#isOver = true;
  }

  /** Takes a message: the first begins the stream of a log, the others continue it. */
  async take(message: Records): Promise<void> {
    if (this.#isOver) return;
    const beyond = boundProblem(message);
    if (beyond !== null) return this.#refuse({ problem: beyond, isLater: false });
    if (this.#stream === null) return this.#begin(message);
    const { from, leaves, checkpoint, ended } = message;
    const refused = await this.#stream.receive({ from, leaves, checkpoint });
    if (refused !== null) return this.#refuse(refused);
    if (ended) await this.end(true);
  }

  async #begin({ log }: Records): Promise<void> {
    if (log === null) return this.#refuse({ problem: 'the first message must name the log', isLater: false });
    const name = emitterNameFrom({ origin: log.origin, verifierKey: log.verifier_key }, this.#peer);
    if (isProblem(name)) return this.#refuse({ ...name, isLater: false });
    const begun = await this.#receiver.connect(name, log.size, {
      onKept: (size) => this.#kept(size),
      onOver: (problem) => this.over(problem),
    });
    if (isProblem(begun)) return this.#refuse(begun);
    this.#stream = begun;
    // The client may have gone while an earlier stream of its log was waited for.
    if (this.#isOver) return begun.end(false);
    this.#kept(begun.size);
  }

  #kept(size: number): void {
    this.#size = size;
    // Before the stream begins the size still grows, and the client continues from the first size it receives.
    // A client that does not read gets a later size, which covers all earlier sizes.
    if (!this.#isOver && this.#stream !== null && this.#call.writableLength < MAX_QUEUED_BYTES)
      this.#call.write({ size, problem: '' });
  }

  #refuse({ problem, isLater }: StreamRefusal): void {
    if (isLater) return this.over(problem);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call.write({ size: this.#size, problem });
    this.#call.end();
  }
}

/** Why a message is larger than any of a sidecar; `null` if it is not. */
function boundProblem(message: Records): string | null {
  const { leaves, checkpoint } = message;
  const bytes = leaves.reduce((sum, leaf) => sum + leaf.length, 0);
  if (leaves.length > MAX_LEAVES || bytes > MAX_BYTES || checkpoint.length > MAX_NOTE)
    return `a message has at most ${MAX_LEAVES} records of ${MAX_BYTES} bytes in all`;
  return refusedField('Records', message);
}
