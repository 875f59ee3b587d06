import Module, { createRequire } from 'node:module';
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

/** A module of CommonJS, as `require` makes it. The types of Node.js lack its content. */
interface CommonJsModule {
  readonly exports: Partial<Cedar>;
  readonly load: (file: string) => void;
}

/**
 * A new instance of the engine; takes 20 to 40 ms, the first with its compilation twice that. A trap (a policy nested too deeply) makes an
 * instance unusable, and `require` would return that same instance, so the package is loaded past its cache. Only dropping an instance
 * returns its memory.
 */
export function freshCedar(): Cedar {
  const file = createRequire(import.meta.url).resolve('@cedar-policy/cedar-wasm/nodejs');
  const module = new Module(file) as unknown as CommonJsModule;
  module.load(file);
  if (!isCedar(module.exports)) throw new Error('cedar-wasm lacks a function that remit uses');
  return module.exports;
}

const WARM = 'warm';

/**
 * Warms up the engine: it parses and answers once. V8 compiles each WebAssembly function at its first call, once for all threads:
 * 50 ms.
 */
export const warmUp: readonly ((cedar: Cedar) => void)[] = [
  (cedar) => void cedar.preparsePolicySet(WARM, { staticPolicies: { warm: 'permit (principal, action, resource);' } }),
  (cedar) =>
    void cedar.statefulIsAuthorized({
      principal: { type: 'W', id: '' },
      action: { type: 'Action', id: '' },
      resource: { type: 'W', id: '' },
      context: {},
      entities: [],
      preparsedPolicySetId: WARM,
    }),
];

const isCedar = (exports: Partial<Cedar>): exports is Cedar =>
  typeof exports.statefulIsAuthorized === 'function' && typeof exports.validate === 'function';

/** Whether an exception makes the instance unusable: anything but the plain `Error` of a refused input. */
export const isTrap = (thrown: unknown): boolean => nameOfThrown(thrown) !== 'Error';

/** `RuntimeError` for a trap. Compared by name, because an error of another realm is not an instance of this realm's `Error`. */
export const nameOfThrown = (thrown: unknown): string =>
  typeof thrown === 'object' && thrown !== null && 'name' in thrown ? String(thrown.name) : typeof thrown;
