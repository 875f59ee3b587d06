import { cardOf } from '../../../src/core/fleet/card.ts';
import type {
  Card,
  Changes,
  Dropped,
  Fresh,
  Hello,
  OpenReply,
  OpenRequest,
  Welcome,
} from '../../../src/core/fleet/messages.ts';
import { noHistory } from '../../../src/core/task/history.ts';
import type { IssuedTokenState } from '../../../src/core/task/issued-token.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { issuer, taskNumber, tokenNumber } from '../../builders/task.ts';

const EPOCH = 'e1';

/**
 * What an authority knows, by numbers alone: tasks 0 to 4 with tokens 0 and 1. The number of the last change of a task is in
 * its `lastUsedMs`, and of a token in its `revokedAtMs`.
 */
export class ModelHub {
  head = 0;
  /** Numbers of the changes of each task and each token. */
  readonly #taskChanges = new Map<string, number[]>();
  readonly #tokenChanges = new Map<string, number[]>();
  /** Tokens of each held task, and the number of the last open that noted it. */
  readonly #held = new Map<string, { readonly digests: Set<string>; lastOpen: number }>();
  #due = new Set<string>();
  #sent = 0;
  /** By task: the last change that is acknowledged to whoever made it. */
  readonly enforced = new Map<string, number>();
  #waiting: { readonly id: string; readonly seq: number }[] = [];

  /** Changes a task, or one of its tokens. */
  change(task: number, token: number | null): void {
    this.head += 1;
    const { id } = taskOf(task);
    const [changes, name] = token === null ? [this.#taskChanges, id] : [this.#tokenChanges, digestOf(task, token)];
    changes.set(name, [...(changes.get(name) ?? []), this.head]);
    if (this.#held.has(id)) {
      this.#due.add(id);
      this.#waiting.push({ id, seq: this.head });
    } else this.enforced.set(id, this.head);
  }

  /** Whether a state shows all changes of its task and token up to number `seq`. */
  isAtLeast(
    { task, issued }: { readonly task: Task; readonly issued: IssuedTokenState | undefined },
    at: { readonly task: number; readonly token: number; readonly seq: number },
  ): boolean {
    const taskChange = lastUpTo(this.#taskChanges.get(task.id), at.seq);
    const tokenChange = lastUpTo(this.#tokenChanges.get(digestOf(at.task, at.token)), at.seq);
    return task.lastUsedMs >= taskChange && (issued?.revokedAtMs ?? 0) >= tokenChange;
  }

  connect({ held, resume }: Hello): Welcome {
    this.#held.clear();
    for (const { key, jti_digests: digests } of held)
      this.#held.set(key.id, { digests: new Set(digests), lastOpen: 0 });
    this.#due = new Set(held.map(({ key }) => key.id));
    // Before its cards a sidecar is where it was.
    this.#sent = resume?.seq ?? this.head;
    const position = { epoch: EPOCH, seq: this.#sent, mark: '' };
    return {
      version: '1',
      position,
      lease_ms: 1,
      ping_ms: 1,
      digest_key: Buffer.alloc(32),
      issuer,
      now_ms: 0,
      orders: false,
    };
  }

  changes(): Changes {
    const cards = [...this.#due].flatMap((id) => this.#cardOf(id, this.#held.get(id)?.digests) ?? []);
    const changes = { from: this.#sent, to: this.head, cards, at: this.head, gone: [], mark: '' };
    this.#due.clear();
    this.#sent = this.head;
    return changes;
  }

  fresh(n: number): Fresh {
    return { n, position: { epoch: EPOCH, seq: this.#sent, mark: '' }, now_ms: 0 };
  }

  ack(seq: number): void {
    for (const one of this.#waiting) if (one.seq <= seq) this.enforced.set(one.id, one.seq);
    this.#waiting = this.#waiting.filter((one) => one.seq > seq);
  }

  open({ tokens, n }: OpenRequest): OpenReply {
    const opened = tokens.map(({ key, jti_digest: digest }) => {
      const held = this.#held.get(key.id) ?? { digests: new Set<string>(), lastOpen: n };
      held.digests.add(digest);
      held.lastOpen = Math.max(held.lastOpen, n);
      this.#held.set(key.id, held);
      return { card: this.#cardOf(key.id, [digest]) };
    });
    return { position: { epoch: EPOCH, seq: this.head, mark: '' }, opened };
  }

  dropped({ keys, n }: Dropped): void {
    for (const { id } of keys) {
      if ((this.#held.get(id)?.lastOpen ?? Infinity) > n) continue;
      this.#held.delete(id);
      this.#due.delete(id);
    }
  }

  /** A card as it is now. */
  #cardOf(id: string, digests: Iterable<string> = []): Card {
    const number = [0, 1, 2, 3, 4].find((one) => taskOf(one).id === id) ?? 0;
    const task = { ...taskOf(number), lastUsedMs: this.#taskChanges.get(id)?.at(-1) ?? 0 };
    const tokens = [...digests].map((jtiDigest) => {
      const revokedAtMs = this.#tokenChanges.get(jtiDigest)?.at(-1) ?? null;
      return [jtiDigest, { ...tokenNumber(1), jtiDigest, revokedAtMs, elsewhere: null }] as const;
    });
    return cardOf({ task, root: task.id, tokens: new Map(tokens), history: noHistory });
  }
}

const lastUpTo = (changes: readonly number[] = [], seq: number): number => changes.findLast((one) => one <= seq) ?? 0;

/** Task 4 has an idle limit. */
export const taskOf = (number: number) => taskNumber(number + 1, { idleMs: number === 4 ? 60_000 : null });

export const digestOf = (task: number, token: number): string => `digest-${task}-${token}`;
