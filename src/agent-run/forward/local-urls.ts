import type { ForwardTarget } from './forward-target.ts';

/** A listener on TCP, and the upstream it stands for. */
export interface LocalUrl {
  readonly port: number;
  /** First segment of its path, in base64url. */
  readonly secret: string;
  readonly target: Pick<ForwardTarget, 'origin' | 'base'>;
}

/**
 * The local URLs of a run, none of which an upstream may learn: whoever knows one can call with the task's tokens from any process of
 * the machine. Clients write them into `Referer`, and into headers that nobody foresees.
 *
 * Lifecycle: filled with `add` before the listeners serve.
 */
export class LocalUrls {
  readonly #urls: LocalUrl[] = [];

  add(url: LocalUrl): void {
    this.#urls.push(url);
  }

  /** A value of a header with each local URL as that of its upstream; `null` if it holds a secret in another form. */
  hidden(value: string): string | null {
    const replaced = value.replaceAll(ON_LOOPBACK, (url, port: string, segment = '') => {
      const at = this.#urls.find((one) => one.port === Number(port));
      if (at === undefined) return url;
      const { origin, base } = at.target;
      // A referer may be the origin alone.
      return segment === `/${at.secret}` ? `${origin}${base}` : `${origin}${segment}`;
    });
    // INVARIANT: no secret goes upstream, wherever in a line a client has it.
    return this.#urls.some(({ secret }) => replaced.includes(secret)) ? null : replaced;
  }
}

/** The origin of a listener, with the first segment of the path. */
const ON_LOOPBACK = /http:\/\/(?:127\.0\.0\.1|localhost):(\d{1,5})(\/[\w-]{0,64})?/gi;
