import { MAX_ARGUMENT_BYTES } from '../../src/core/action/arguments/argument.ts';
import { exactJsonFrom } from '../../src/core/action/arguments/json-arguments.ts';
import { freshCedar } from '../../src/core/policy/cedar.ts';

/**
 * The worst cost of 64 KiB of JSON, each shape read once as by a first caller, and then in rounds: read by Remit, and as the text of
 * arguments by Cedar. `node test/bench/json.ts`.
 */
const BYTES = 65_536;
const ROUNDS = 25;

const filledWith = (item: string): string =>
  `[${Array.from({ length: Math.floor((BYTES - 2) / (item.length + 1)) }, () => item).join(',')}]`;

const members = Array.from({ length: 7_000 }, (_, index) => `"${index.toString(36)}":0`).join(',');

const shapes: readonly (readonly [string, string])[] = [
  ['empty objects', filledWith('{}')],
  ['empty arrays', filledWith('[]')],
  ['objects of one member', filledWith('{"":0}')],
  ['objects of two members', filledWith('{"":0,"a":0}')],
  ['one object of many members', `{${members}}`],
  ['nested objects', filledWith(`${'{"":'.repeat(30)}0${'}'.repeat(30)}`)],
  ['empty strings', filledWith('""')],
  ['escaped strings', filledWith('"\\n"')],
  ['digits', filledWith('1')],
  ['exponents', filledWith('1e1')],
  ['tiny numbers', filledWith('5e-324')],
  ['long numbers', filledWith('9007199254740993')],
];

const cedar = freshCedar();
const staticPolicies = { p: 'permit (principal, action, resource) when { context.args.text like "*a*b*c*d*" };' };
cedar.preparsePolicySet('bench', { staticPolicies });

const ask = (text: string): void => {
  const [principal, action, resource] = ['Agent', 'Action', 'Endpoint'].map((type) => ({ type, id: '' }));
  if (principal === undefined || action === undefined || resource === undefined) return;
  const context = { args: { text } };
  cedar.statefulIsAuthorized({ principal, action, resource, context, entities: [], preparsedPolicySetId: 'bench' });
};

/** Text of 64 KiB, the longest that the arguments of a call can have. */
const texts: readonly (readonly [string, string])[] = ['x', '"', '\n', 'é', '€', '😀', 'abcd'].map((one) => [
  `text of ${JSON.stringify(one)}`,
  one.repeat(Math.floor(MAX_ARGUMENT_BYTES / Buffer.byteLength(one))),
]);

const timed = (run: () => void): number => {
  const start = performance.now();
  run();
  return performance.now() - start;
};

function print(name: string, run: () => void): void {
  const first = timed(run);
  const rounds = Array.from({ length: ROUNDS }, () => timed(run)).toSorted((a, b) => a - b);
  const shown = [first, rounds[0] ?? 0, rounds[Math.floor(ROUNDS / 2)] ?? 0, rounds.at(-1) ?? 0].map((ms) =>
    ms.toFixed(2).padStart(9),
  );
  process.stdout.write(`${name.padEnd(28)}${shown.join('   ')}\n`);
}

process.stdout.write(`${''.padEnd(28)}   first ms    least ms   median ms   most ms\n`);
for (const [name, text] of shapes) {
  const bytes = Buffer.from(text);
  print(name, () => void exactJsonFrom(bytes));
}
for (const [name, text] of texts) print(name, () => ask(text));
