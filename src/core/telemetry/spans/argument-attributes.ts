import { isDeny } from '../../decision/decision.ts';
import type { CallFacts } from '../../decide/facts.ts';
import type { JsonValue } from '../../ledger/canonical-json.ts';
import { recordedArgs } from '../../ledger/recorded-args.ts';
import type { SpanAttributeValue, Tell } from './ended-span.ts';

/** Prefix of the names of these attributes; the name of the argument follows. */
export const ARGUMENT_PREFIX = 'remit.argument.';

/**
 * Emits the recorded arguments of a call, so that a search by attribute finds the call by values that its upstream logs: those
 * that the catalog marks `record: true`, at most 8, each of at most 256 bytes of JSON. As in the record, a longer value is its
 * digest, and a credential is withheld.
 */
export function tellArguments({ action }: Pick<CallFacts, 'action'>, tell: Tell): void {
  if (isDeny(action)) return;
  for (const [name, value] of Object.entries(recordedArgs(action) ?? {})) {
    const shown = attributeValue(value);
    if (shown !== null) tell(`${ARGUMENT_PREFIX}${name}`, shown);
  }
}

function attributeValue(value: JsonValue): SpanAttributeValue | null {
  if (typeof value !== 'object') return value;
  if (value === null) return null;
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(String);
  const digest = 'sha-256' in value ? value['sha-256'] : null;
  return typeof digest === 'string' ? `sha-256:${digest}` : 'withheld';
}
