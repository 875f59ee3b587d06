import { exactJson } from '../../src/policy/exact-json.ts';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** A case of the corpus, as far as it is read here. */
export interface CorpusCase {
  readonly id: string;
  readonly policies: string;
  readonly schema: string;
  readonly entities: readonly unknown[];
  readonly requests: readonly CorpusRequest[];
}

/** A request with its answer. */
export interface CorpusRequest {
  readonly principal: unknown;
  readonly action: unknown;
  readonly resource: unknown;
  readonly context: unknown;
  readonly validateRequest: boolean;
  readonly decision: string;
  readonly reason: readonly string[];
  readonly errors: readonly string[];
}

const file = resolve(import.meta.dirname, '../../../shared/cedar-corpus/cases.jsonl.gz');

/** Where the corpus is, beside the project; `null` where it is not. */
export const corpusFile: string | null = existsSync(file) ? file : null;

/** Its cases, with numbers as written. */
export function corpusCases(): readonly CorpusCase[] {
  if (corpusFile === null) return [];
  const lines = gunzipSync(readFileSync(corpusFile)).toString().trimEnd().split('\n');
  return lines.map((line) => exactJson(line) as CorpusCase);
}
