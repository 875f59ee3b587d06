import type { KeyObject } from 'node:crypto';

/** Shorter ones would be found by chance. */
const MIN_LENGTH = 16;
/** A compact JWS, whatever it says; a digest that happens to begin like one is none. */
const ANY_JWS = /(?<![\w-])eyJ[\w-]+\.[\w-]*/;

/** The secrets of a scenario by what they are, to be searched for in what came of it. */
export class Secrets {
  readonly #values = new Map<string, string>();

  get size(): number {
    return this.#values.size;
  }

  note(name: string, value: string): void {
    if (value.length < MIN_LENGTH) throw new Error(`\`${name}\` is too short to be searched for`);
    this.#values.set(name, value);
  }

  /** A private key, in the forms that it is written in. */
  noteKey(name: string, key: KeyObject): void {
    const pem = key.export({ format: 'pem', type: 'pkcs8' });
    this.note(`${name} as JWK`, String(key.export({ format: 'jwk' }).d));
    this.note(`${name} as PEM`, pem.split('\n')[1] ?? '');
  }

  /** A token or proof, which is given back; what is searched for is what makes it usable, and what it says. */
  noteJws(name: string, compact: string): string {
    const [, payload = '', signature = ''] = compact.split('.');
    this.note(`${name}: its payload`, payload);
    this.note(`${name}: its signature`, signature);
    return compact;
  }

  /** Where which of them turned up, as `output: secret`. */
  foundIn(outputs: ReadonlyMap<string, string>): readonly string[] {
    return [...outputs].flatMap(([output, text]) =>
      [...this.#values].filter(([, value]) => text.includes(value)).map(([name]) => `${output}: ${name}`),
    );
  }
}

/** The outputs that hold a token or a private key, whoever's. */
export const outputsWithKeyOrToken = (outputs: ReadonlyMap<string, string>): readonly string[] =>
  [...outputs].filter(([, text]) => ANY_JWS.test(text) || text.includes('PRIVATE KEY')).map(([output]) => output);
