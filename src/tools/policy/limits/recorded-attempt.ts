/** What limits over all tasks count of a recorded use, as far as it was recorded. */
import { decimalFrom } from '../../../core/action/budget/decimal.ts';
import type { ArgumentSpec, CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { actionOf } from '../../../core/action/http/http.ts';
import type { Action, ArgumentValue } from '../../../core/action/http/http.ts';
import type { UseRecord } from '../../../core/ledger/record.ts';
import { recordedArguments } from '../compare/recorded-case.ts';

/** The action of a recorded use with the arguments that its record has, those of its path included. */
export function recordedAction(entry: CatalogAction, record: Pick<UseRecord, 'args' | 'path'>): Action {
  const recorded = recordedArguments(entry, record);
  const segments = (record.path.split('?')[0] ?? '').split('/').slice(1);
  const args = new Map<string, ArgumentValue>();
  for (const spec of entry.args) {
    const index = spec.from === 'path' ? entry.parameters.get(spec.name)?.index : undefined;
    const value = index === undefined ? recorded.get(spec.name) : decodedSegment(segments[index]);
    const typed = value === undefined ? undefined : typedValue(spec, value);
    if (typed !== undefined) args.set(spec.name, typed);
  }
  return actionOf(entry, { args, isDecidedOnHeaders: false });
}

function decodedSegment(segment: string | undefined): string | undefined {
  if (segment === undefined) return undefined;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** A recorded value in the type of its argument; `undefined` if it has another, since the catalog had another then. */
function typedValue({ type }: ArgumentSpec, value: unknown): ArgumentValue | undefined {
  if (type === 'decimal') return decimalFrom(value) ?? undefined;
  if (type === 'long') return Number.isSafeInteger(Number(value)) ? Number(value) : undefined;
  return type === 'string' && typeof value === 'string' ? value : undefined;
}
