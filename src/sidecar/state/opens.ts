import type { TokenKey } from '../../core/fleet/messages.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { AnswerTime } from './answer-time.ts';
import type { AuthorityLink } from './authority-link.ts';
import { nameOf } from './held-cards.ts';
import type { SidecarFeed } from './sidecar-feed.ts';

/** Most tokens of a request, and of all that wait. Beyond that, a check is denied without asking. */
const MAX_BATCH = 256;
const MAX_WAITING = 16_384;

/** Options of opens. */
export interface OpensOptions {
  readonly feed: SidecarFeed;
  /**
   * The connection of the stream; `undefined` if there is none. Unlike for uses, no second authority is asked: changes of a card come only
   * over the stream, and an authority without a stream of this sidecar refuses to open cards. If the stream's authority does not answer, the
   * follower moves the stream, and the open goes with it.
   */
  readonly link: () => AuthorityLink | undefined;
  readonly after: After;
  readonly answerTime: AnswerTime;
  /** Receives how many tokens were opened, or were not. */
  readonly onOpened: (result: 'opened' | 'failed', count: number) => void;
}

/** Opens cards: the tokens of a turn in a single request, and each token once at a time. */
export class Opens {
  readonly #options: OpensOptions;
  /** What waits for each token, by name. */
  readonly #waiting = new Map<string, { readonly over: Promise<void>; readonly done: () => void }>();
  #queued: TokenKey[] = [];

  constructor(options: OpensOptions) {
    this.#options = options;
  }

  /** Opens a token. Resolves once it is known, or could not be opened in time. `null` if too many others wait. */
  open(token: TokenKey): Promise<void> | null {
    const name = nameOfToken(token);
    const known = this.#waiting.get(name);
    if (known !== undefined) return known.over;
    if (this.#waiting.size >= MAX_WAITING) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.after(this.#options.answerTime.boundMs, () => done());
    const done = (): void => {
      cancel();
      this.#waiting.delete(name);
      resolve();
    };
    this.#waiting.set(name, { over: promise, done });
    if (this.#queued.push(token) === 1) queueMicrotask(() => this.flush());
    return promise;
  }

  /** Sends the waiting opens, if a stream follows the feed. Call it once a stream does. */
  flush(): void {
    const link = this.#options.link();
    if (link === undefined || !this.#options.feed.isFollowing) return;
    const queued = this.#queued.filter((token) => this.#waiting.has(nameOfToken(token)));
    this.#queued = [];
    for (let from = 0; from < queued.length; from += MAX_BATCH) {
      void this.#ask(link, queued.slice(from, from + MAX_BATCH));
    }
  }

  async #ask(link: AuthorityLink, tokens: readonly TokenKey[]): Promise<void> {
    const { answerTime, feed, onOpened } = this.#options;
    const request = feed.open(tokens);
    const reply = await answerTime.measured((boundMs) => link.call('Open', request, boundMs));
    const isOpened = feed.opened(request, 'problem' in reply ? null : reply);
    onOpened(isOpened ? 'opened' : 'failed', tokens.length);
    for (const token of tokens) this.#waiting.get(nameOfToken(token))?.done();
  }
}

const nameOfToken = ({ key, jti_digest: digest }: TokenKey): string => `${digest}\n${nameOf(key)}`;
