import { freshCedar } from '../../../src/core/policy/cedar.ts';
import type { EnginePolicy } from '../../../src/core/policy/engine.ts';
import { readsOf } from '../../../src/core/policy/answers/reads.ts';
import { scopeFrom } from '../../../src/core/policy/answers/scope.ts';

const cedar = freshCedar();

/** A policy in Cedar's JSON form. */
export function mustJson(text: string): unknown {
  const json = cedar.policyToJson(text);
  if (json.type === 'failure') throw new Error(json.errors[0]?.message);
  return json.json;
}

/** A policy as an engine takes it. */
export function policyFrom(id: string, text: string): EnginePolicy {
  const json = mustJson(text);
  return { id, text, scope: scopeFrom(json), reads: readsOf(json) };
}
