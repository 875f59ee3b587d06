import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { compileFunction } from 'node:vm';
import type * as CedarModule from '@cedar-policy/cedar-wasm/nodejs';

/** The part of cedar-wasm that Remit uses; one instance of the engine with a memory of its own. */
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
 * A new instance of the engine, 7 to 30 ms. A trap (a policy nested too deeply) leaves an instance unusable for good, and
 * a `require` would hand the same one back, so the module's text is run anew, as `require` runs it the first time.
 * An instance that is let go gives its memory back, which one that is used again never does.
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

/** Whether what a call threw leaves the instance unusable: anything but the plain `Error` of a refused input. */
export const isTrap = (thrown: unknown): boolean => nameOfThrown(thrown) !== 'Error';

/** `RuntimeError` for a trap. By name, since an error of another realm is no instance of this one's `Error`. */
export const nameOfThrown = (thrown: unknown): string =>
  typeof thrown === 'object' && thrown !== null && 'name' in thrown ? String(thrown.name) : typeof thrown;
