import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { compileFunction } from 'node:vm';
import type * as CedarModule from '@cedar-policy/cedar-wasm/nodejs';

/** The part of cedar-wasm that Remit uses: one instance of the engine with its own memory. */
export type Cedar = Pick<
  typeof CedarModule,
  | 'checkParseEntities'
  | 'checkParsePolicySet'
  | 'checkParseSchema'
  | 'formatPolicies'
  | 'policySetTextToParts'
  | 'policyToJson'
  | 'schemaToText'
  | 'templateToJson'
  | 'preparsePolicySet'
  | 'preparseSchema'
  | 'schemaToJson'
  | 'schemaToJsonWithResolvedTypes'
  | 'statefulIsAuthorized'
  | 'validate'
>;

/**
 * A new instance of the engine; takes 7 to 30 ms. A trap (a policy nested too deeply) makes an instance unusable, and a second
 * `require` would return that same instance, so the module's code is run again. Only dropping an instance returns its memory.
 */
export function freshCedar(): Cedar {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@cedar-policy/cedar-wasm/nodejs');
  const module: { readonly exports: Partial<Cedar> } = { exports: {} };
  const run = compileFunction(readFileSync(path, 'utf8'), ['exports', 'require', 'module', '__dirname'], {
    filename: path,
  });
  run.call(module.exports, module.exports, createRequire(path), module, dirname(path));
  if (!isCedar(module.exports)) throw new Error('cedar-wasm lacks a function that remit uses');
  return module.exports;
}

const isCedar = (exports: Partial<Cedar>): exports is Cedar =>
  typeof exports.statefulIsAuthorized === 'function' && typeof exports.validate === 'function';

/** The version of the engine's package; `null` where its manifest cannot be read. */
export function cedarVersion(): string | null {
  try {
    const engine = createRequire(import.meta.url).resolve('@cedar-policy/cedar-wasm/nodejs');
    const { version } = JSON.parse(readFileSync(join(dirname(engine), 'package.json'), 'utf8')) as { version: unknown };
    return typeof version === 'string' ? version : null;
  } catch {
    return null;
  }
}

/** Whether an exception makes the instance unusable: anything but the plain `Error` of a refused input. */
export const isTrap = (thrown: unknown): boolean => nameOfThrown(thrown) !== 'Error';

/** `RuntimeError` for a trap. Compared by name, because an error of another realm is not an instance of this realm's `Error`. */
export const nameOfThrown = (thrown: unknown): string =>
  typeof thrown === 'object' && thrown !== null && 'name' in thrown ? String(thrown.name) : typeof thrown;
