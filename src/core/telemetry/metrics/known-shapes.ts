import { hash } from 'node:crypto';
import type { CallShape } from '../../action/call-shape.ts';
import type { HttpCall } from '../../action/http/call.ts';

/** Most shapes that a process remembers. */
const MAX_SHAPES = 4_096;
const DIGEST_LENGTH = 16;

/**
 * The shapes of observed calls that this process has seen, as digests: host, method, and the names in the call, of gRPC also the path. Values
 * in paths do not count. Once it is full no shape is new, so that no caller makes it grow.
 */
export class KnownShapes {
  readonly #known = new Set<string>();

  /** Adds the shape of a call. Returns whether it is new; `false` once the set is full. */
  add({ host, method, path }: Pick<HttpCall, 'host' | 'method' | 'path'>, shape: CallShape): boolean {
    if (this.#known.size >= MAX_SHAPES) return false;
    const text = JSON.stringify([host, method, shape.protocol === 'grpc' ? path : null, shape]);
    const before = this.#known.size;
    this.#known.add(hash('sha256', text, 'base64url').slice(0, DIGEST_LENGTH));
    return this.#known.size > before;
  }
}
