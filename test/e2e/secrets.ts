import type { KeyObject } from 'node:crypto';

/** Shorter ones would match by chance. */
const MIN_LENGTH = 16;
/** Any compact JWS; a digest that begins like one is none. */
const ANY_JWS = /(?<![\w-])eyJ[\w-]+\.[\w-]*/;

/** The secrets of a scenario by name, to search its outputs for. */
export class Secrets {
  readonly #values = new Map<string, string>();

  get size(): number {
    return this.#values.size;
  }

  note(name: string, value: string): void {
    if (value.length < MIN_LENGTH) throw new Error(`\`${name}\` is too short to be searched for`);
    this.#values.set(name, value);
  }

  /** Notes a private key, in every form in which it is written. */
  noteKey(name: string, key: KeyObject): void {
    const pem = key.export({ format: 'pem', type: 'pkcs8' });
    this.note(`${name} as JWK`, String(key.export({ format: 'jwk' }).d));
    this.note(`${name} as PEM`, pem.split('\n')[1] ?? '');
  }

  /** Notes a token or proof, and returns it. Searched for are its signature and its claims. */
  noteJws(name: string, compact: string): string {
    const [, payload = '', signature = ''] = compact.split('.');
    this.note(`${name}: its payload`, payload);
    this.note(`${name}: its signature`, signature);
    return compact;
  }

  /** Found secrets, as `output: secret`. */
  foundIn(outputs: ReadonlyMap<string, string>): readonly string[] {
    return [...outputs].flatMap(([output, text]) =>
      [...this.#values].filter(([, value]) => text.includes(value)).map(([name]) => `${output}: ${name}`),
    );
  }
}

/** The outputs that contain any token or private key. */
export const outputsWithKeyOrToken = (outputs: ReadonlyMap<string, string>): readonly string[] =>
  [...outputs].filter(([, text]) => ANY_JWS.test(text) || text.includes('PRIVATE KEY')).map(([output]) => output);
