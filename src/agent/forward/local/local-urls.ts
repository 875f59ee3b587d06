import type { ForwardTarget } from '../forward-target.ts';

/** A listener on TCP, and the upstream that it forwards to. */
export interface LocalUrl {
  readonly port: number;
  /** First segment of its path, in base64url. */
  readonly secret: string;
  readonly target: Pick<ForwardTarget, 'origin' | 'base'>;
}

/**
 * The local URLs of a run, which must not reach an upstream: any process of the machine that knows a local URL can call with the
 * task's tokens. Clients write them into `Referer`, and into headers that nobody foresees.
 *
 * Lifecycle: filled with `add` before the listeners serve.
 */
export class LocalUrls {
  #urls: readonly LocalUrl[] = [];

  add(url: LocalUrl): void {
    this.#urls = [...this.#urls, url];
  }

  /** A header value with each local URL replaced by that of its upstream; `null` if it holds a secret in another form. */
  hidden(value: string): string | null {
    return this.#withoutSecret(this.#replaced(value, PLAIN));
  }

  /**
   * Does the same for a path with its query, percent-encoded URLs too. `null` if it holds a secret in another form: the call must
   * be refused, since no part of its path can be left out.
   */
  hiddenTarget(target: string): string | null {
    return this.#withoutSecret(this.#replaced(this.#replaced(target, PLAIN), ENCODED));
  }

  #replaced(text: string, { pattern, slash, written }: Spelling): string {
    return text.replaceAll(pattern, (url, port: string, segment = '') => {
      const at = this.#urls.find((one) => one.port === Number(port));
      if (at === undefined) return url;
      const { origin, base } = at.target;
      // A referer may be the origin alone.
      const isOwn = segment.slice(slash) === at.secret;
      return isOwn ? written(`${origin}${base}`) : `${written(origin)}${segment}`;
    });
  }

  /** INVARIANT: no secret goes upstream, wherever in a line a client has it. */
  #withoutSecret(text: string): string | null {
    return this.#urls.some(({ secret }) => text.includes(secret)) ? null : text;
  }
}

/** How the origin of a listener is written, with the first segment of the path. */
interface Spelling {
  readonly pattern: RegExp;
  /** Characters of the slash before the segment. */
  readonly slash: number;
  readonly written: (url: string) => string;
}

const PLAIN: Spelling = {
  pattern: /http:\/\/(?:127\.0\.0\.1|localhost):(\d{1,5})(\/[\w-]{0,64})?/gi,
  slash: 1,
  written: (url) => url,
};
const ENCODED: Spelling = {
  pattern: /http%3A%2F%2F(?:127\.0\.0\.1|localhost)%3A(\d{1,5})(%2F[\w-]{0,64})?/gi,
  slash: 3,
  written: encodeURIComponent,
};
