import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
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

/** The engine's compiled code: a `WebAssembly.Module`, which threads can send each other. */
export type EngineCode = object;

interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => EngineCode;
}

// The types of Node.js lack it.
const { WebAssembly: webAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };

/** Compiled once for all instances of this thread. */
let code: EngineCode | null = null;

/** The compiled code, for another thread; `null` before there is an instance. */
export const engineCode = (): EngineCode | null => code;

/** Takes the code that another thread has compiled, so that this one need not. */
export function useEngineCode(compiled: EngineCode): void {
  code ??= compiled;
}

/**
 * A new instance of the engine; takes 7 to 30 ms, the first with its compilation twice that. A trap (a policy nested too deeply) makes an
 * instance unusable, and a second `require` would return that same instance, so the module's code is run again. Only dropping an instance
 * returns its memory.
 */
export function freshCedar(): Cedar {
  const path = createRequire(import.meta.url).resolve('@cedar-policy/cedar-wasm/nodejs');
  const module: { readonly exports: Partial<Cedar> } = { exports: {} };
  const parameters = ['exports', 'require', 'module', '__dirname', 'WebAssembly'];
  const run = compileFunction(readFileSync(path, 'utf8'), parameters, { filename: path });
  run.call(module.exports, module.exports, requireOnce(path), module, dirname(path), compiledOnce());
  if (!isCedar(module.exports)) throw new Error('cedar-wasm lacks a function that remit uses');
  return module.exports;
}

const NOTHING = new Uint8Array();

/** `require` for the engine's module, which reads its 4 MiB of code each time it runs: nothing once they are compiled. */
function requireOnce(path: string): (name: string) => unknown {
  const require = createRequire(path);
  const fs = { readFileSync: (file: string) => (code === null ? readFileSync(file) : NOTHING) };
  return (name) => (name === 'fs' ? fs : require(name));
}

/** `WebAssembly` for the engine's module, which compiles its code each time it runs: once only. */
const compiledOnce = (): WebAssemblyApi =>
  Object.assign(Object.create(webAssembly), {
    // A constructor, as the module calls it, which may return what there is.
    Module: function compiled(bytes: Uint8Array) {
      return (code ??= new webAssembly.Module(bytes));
    },
  });

const WARM = 'warm';

/**
 * Has the engine do once what each start of a server does first: parse, and answer. V8 compiles a function of it when it is first called, for
 * all threads: 50 ms, which another thread can take meanwhile.
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
