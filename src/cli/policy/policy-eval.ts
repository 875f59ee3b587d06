/** `remit policy eval`: answers Cedar requests in files, one line each. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { DecisionCache } from '../../core/policy/answers/cache.ts';
import { exactJson } from '../../tools/policy/eval/exact-json.ts';
import { isFailure } from '../../core/policy/evaluator.ts';
import type { EvaluatorAnswer, EvaluatorOptions } from '../../core/policy/evaluator.ts';
import { plainAsk } from '../../tools/policy/eval/plain-cedar.ts';
import type { PlainAsk } from '../../tools/policy/eval/plain-cedar.ts';
import { SlicePool } from '../../core/policy/pool.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { jsonLines } from '../json-lines.ts';
import { optionsFrom } from '../options.ts';

const help = `remit policy eval: answer plain Cedar requests with the engine of Remit

usage: remit policy eval --cases FILE [--no-cache] [--no-slices]
       remit policy eval --policies FILE --requests FILE [--schema FILE] [--entities FILE] [--no-cache] [--no-slices]

  --cases FILE     JSON Lines, plain or gzip: {"id", "policies", "schema", "entities", "requests": [{"principal", "action",
                   "resource", "context", "validateRequest"}]} on each line, as in Cedar's integration tests
  --policies FILE  Cedar text, or the JSON form of a policy set (*.json) with templates and links
  --requests FILE  requests, one a line, plain or gzip
  --schema FILE    Cedar text, or its JSON form (*.json)
  --entities FILE  a JSON list
  --no-cache       ask the engine for each request
  --no-slices      evaluate every policy for each request

Prints one line for each request, {"id", "request", "decision", "reason", "errors"}: the id of the case, or the name of the
file of requests; the index of the request, from 0; the ids of the policies that decided and of those with errors, sorted.
Where the engine refuses the input, "failure" replaces the last three. Policies of a Cedar text are named policy0, policy1,
… in order. The answers are those of remit serve, and are the same with and without cache and slices. Files are read line
by line, so they may be of any length.

  remit policy eval --cases cases.jsonl.gz
  remit policy eval --policies app.cedar --entities app.json --requests log.jsonl --no-cache

exit codes: 0 every request has its line, 2 bad use or a file that cannot be read`;

/** `remit policy eval`. */
export const policyEvalCommand: Command = { name: 'policy eval', help, run: policyEval };

type Io = Pick<CommandIo, 'err' | 'stdout' | 'progress'>;

/** Requests of one case or one file. */
interface Work {
  readonly id: unknown;
  readonly ask: PlainAsk;
  readonly requests: Iterable<unknown> | AsyncIterable<unknown>;
}

const MAX_QUEUED_BYTES = 1_048_576;
const PROGRESS_EVERY = 256;

/** Invalid input; its message is for the operator. */
class BadInput extends Error {}

/** Answers all requests in the given files, one line each. */
export async function policyEval(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(
    args,
    {
      cases: { type: 'string' },
      policies: { type: 'string' },
      schema: { type: 'string' },
      entities: { type: 'string' },
      requests: { type: 'string' },
      'no-cache': { type: 'boolean', default: false },
      'no-slices': { type: 'boolean', default: false },
    },
    0,
  );
  if (typeof options === 'string') return refused(io, 'remit policy eval', options);
  const { values } = options;
  const separate = [values.policies, values.requests, values.schema, values.entities];
  const how = { slices: !values['no-slices'], cache: values['no-cache'] ? null : new DecisionCache() };
  try {
    if (values.cases !== undefined) {
      if (separate.some((file) => file !== undefined))
        return refused(
          io,
          'remit policy eval',
          '`--cases` excludes `--policies`, `--entities`, `--schema` and `--requests`',
        );
      return await answered(worksOfCases(values.cases, how), io);
    }
    const { policies, requests } = values;
    if (policies === undefined || requests === undefined) {
      return refused(io, 'remit policy eval', 'expected `--cases`, or `--policies` and `--requests`');
    }
    return await answered(workOfFiles({ ...values, policies, requests }, how), io);
  } catch (error) {
    io.progress?.('');
    return refused(io, 'remit policy eval', error instanceof BadInput ? error.message : causeOf(error));
  }
}

const causeOf = (error: unknown): string => {
  const { code, path, message } = Object(error) as Readonly<Record<string, unknown>>;
  return typeof path === 'string' ? `\`${path}\` could not be read: ${String(code)}` : String(message);
};

async function answered(works: AsyncIterable<Work>, { stdout, progress }: Io): Promise<number> {
  let count = 0;
  for await (const { id, ask, requests } of works) {
    let request = 0;
    for await (const one of requests) {
      stdout.write(`${JSON.stringify(lineOf({ id, request }, ask(one)))}\n`);
      request += 1;
      count += 1;
      if (count % PROGRESS_EVERY !== 0) continue;
      progress?.(`${count} requests`);
      while (stdout.writable && stdout.writableLength > MAX_QUEUED_BYTES) await turn();
    }
  }
  progress?.('');
  return EXIT.good;
}

/** Yields, so that the reader of the output can catch up. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const lineOf = (of: { readonly id: unknown; readonly request: number }, answer: EvaluatorAnswer): unknown =>
  isFailure(answer) ? { ...of, failure: answer.said ?? answer.failure } : { ...of, ...answer };

async function* worksOfCases(file: string, how: EvaluatorOptions): AsyncGenerator<Work> {
  const pool = new SlicePool();
  for await (const { number, text } of jsonLines(file)) {
    const { id, policies, schema, entities = [], requests = [] } = objectFrom(text, `${file}:${number}`);
    if (!Array.isArray(entities) || !Array.isArray(requests)) {
      throw new BadInput(`${file}:${number}: \`entities\` and \`requests\` must be lists`);
    }
    const rules = { generation: `${number}`, policies, schema: schema ?? undefined, entities };
    yield { id: id ?? number, ask: plainAsk(rules, pool, how), requests };
  }
}

interface Files {
  readonly policies: string;
  readonly requests: string;
  readonly schema?: string | undefined;
  readonly entities?: string | undefined;
}

async function* workOfFiles(
  { policies, requests, schema, entities }: Files,
  how: EvaluatorOptions,
): AsyncGenerator<Work> {
  const list = entities === undefined ? [] : jsonFrom(await readFile(entities, 'utf8'), entities);
  if (!Array.isArray(list)) throw new BadInput(`${entities}: the entities must be a list`);
  const rules = {
    generation: '',
    policies: await textOrJson(policies),
    schema: schema === undefined ? undefined : await textOrJson(schema),
    entities: list,
  };
  yield { id: basename(requests), ask: plainAsk(rules, new SlicePool(), how), requests: objectsOf(requests) };
}

async function* objectsOf(file: string): AsyncGenerator {
  for await (const { number, text } of jsonLines(file)) yield objectFrom(text, `${file}:${number}`);
}

const textOrJson = async (file: string): Promise<unknown> => {
  const text = await readFile(file, 'utf8');
  return file.endsWith('.json') ? jsonFrom(text, file) : text;
};

function objectFrom(text: string, place: string): Readonly<Record<string, unknown>> {
  const value = jsonFrom(text, place);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BadInput(`${place}: the line must be a JSON object`);
  }
  return { ...value };
}

function jsonFrom(text: string, place: string): unknown {
  try {
    return exactJson(text);
  } catch {
    throw new BadInput(`${place}: no JSON`);
  }
}
