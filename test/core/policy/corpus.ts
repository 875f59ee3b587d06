import { exactJson } from '../../../src/tools/policy/eval/exact-json.ts';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { sharedData } from '../../parts.ts';

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

/** The corpus, beside the project. */
export const corpus = sharedData('cedar-corpus/cases.jsonl.gz');

/** Its cases, with numbers as written: one in `stride` of them, from number `first` on. */
export function corpusCases(file: string, { first, stride }: { first: number; stride: number }): readonly CorpusCase[] {
  const lines = gunzipSync(readFileSync(file)).toString().trimEnd().split('\n');
  return lines.filter((_, n) => n % stride === first % stride).map((line) => exactJson(line) as CorpusCase);
}
