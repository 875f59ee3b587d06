import { spawn, spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freshCedar } from '../../src/core/policy/cedar.ts';
import { catalogFrom } from '../../src/core/action/catalog/catalog-assembly.ts';
import { schemaFrom } from '../../src/core/policy/schema.ts';
import { cedarFolder } from '../parts/cache.ts';
import { median } from './statistics.ts';

/**
 * What `remit policy validate`, `lint` and `test` cost with 10,000 policies, beside what validating them alone costs: the same
 * engine in wasm, in a process of its own, that parses policies and schema and checks the types; and `cedar validate`, which is built
 * for the machine. All take turns, round after round; medians count, and processor time where the machine does other work.
 * `npm run build && node test/bench/policy-tools.ts [--policies N] [--rounds N]`; `CEDAR` names a `cedar` that was built with optimisation,
 * as by `cargo install cedar-policy-cli --locked`.
 */
const option = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const self = resolve(import.meta.filename);
/** `REMIT_MAIN` names another build to compare with. */
const remit = process.env['REMIT_MAIN'] ?? resolve(import.meta.dirname, '../../dist/main.js');
const shipped = resolve(import.meta.dirname, '../../cedar-policies');

/** Two permits of one agent each, a forbid of one team, and a permit for risky actions, in several files. */
function policyOf(index: number): string {
  const agent = `spiffe://acme.test/ns/agents/sa/agent-${index}`;
  switch (index % 4) {
    case 0:
      return `@id("other-${index}")
@reason("files of team ${index} are its own")
forbid (principal in Remit::AgentGroup::"agents", action == Remit::Action::"files.delete", resource)
when { context.args.name like "team-${index}-*" };
`;
    case 1:
      return `@id("other-${index}")
permit (principal == Remit::Agent::"${agent}", action == Remit::Action::"payments.create", resource in Remit::Server::"payments")
when { context.args.amount <= ${index} && (context.args has currency && context.args.currency == "EUR") }
unless { context.risk == "high" };
`;
    default:
      return `@id("other-${index}")
@description("agent ${index} reads")
permit (
  principal == Remit::Agent::"${agent}",
  action in [Remit::Action::"files.list", Remit::Action::"files.read"],
  resource in Remit::Server::"files"
)
when { context.intent.purpose != "" };
`;
  }
}

const FILES = 10;

async function folderOf(count: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-policy-tools-'));
  await cp(shipped, folder, { recursive: true, filter: (source) => !source.includes('examples') });
  const policies = Array.from({ length: count }, (_, index) => policyOf(index));
  for (let file = 0; file < FILES; file += 1) {
    const own = policies.filter((_text, index) => index % FILES === file);
    await writeFile(join(folder, 'policies', `others-${file}.cedar`), own.join('\n'));
  }
  return folder;
}

interface ValidatedTexts {
  readonly schema: string;
  readonly policies: string;
}

async function textsOf(folder: string): Promise<ValidatedTexts> {
  const catalog = catalogFrom(await readFile(join(folder, 'actions.yaml'), 'utf8'), 'actions.yaml');
  if ('findings' in catalog) throw new Error('the catalog has findings');
  const schema = schemaFrom(await readFile(join(folder, 'base.cedarschema'), 'utf8'), catalog);
  if ('problem' in schema) throw new Error(schema.problem);
  const names = (await readdir(join(folder, 'policies'))).filter((name) => name.endsWith('.cedar'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, 'policies', name), 'utf8')));
  return { schema: schema.text, policies: texts.join('\n') };
}

/** The same work as `cedar validate`. */
async function validateAlone(folder: string): Promise<void> {
  const { schema, policies: text } = await textsOf(folder);
  const cedar = freshCedar();
  const policies = { staticPolicies: text };
  const parsed = cedar.checkParsePolicySet(policies);
  if (parsed.type === 'failure') throw new Error(parsed.errors[0]?.message);
  const answer = cedar.validate({ schema, policies });
  if (answer.type === 'failure' || answer.validationErrors.length > 0) throw new Error('the policies are not valid');
}

interface Cost {
  readonly wallMs: number;
  /** Processor time of the process with all of its threads. */
  readonly cpuMs: number;
  /** `null` where it is unknown. */
  readonly peakMib: number | null;
}

/** Runs a command to its end. Its answer does not matter. */
async function costOf(args: readonly string[]): Promise<Cost> {
  const startMs = performance.now();
  // The child reports its own usage, since the operating system adds up all children.
  const report = `process.on('exit', () => { const u = process.resourceUsage(); process.stderr.write('\\ncost ' + (u.userCPUTime + u.systemCPUTime) / 1000 + ' ' + u.maxRSS / 1024 + '\\n'); });`;
  const child = spawn(
    process.execPath,
    ['--no-warnings', '--import', `data:text/javascript,${encodeURIComponent(report)}`, ...args],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = await new Promise<readonly [number | null]>((settle) => child.on('exit', (exit) => settle([exit])));
  const [, cpuMs, peakMib] = /^cost (\S+) (\S+)$/m.exec(said) ?? [];
  if (cpuMs === undefined || (code !== 0 && code !== 1))
    throw new Error(`${args.join(' ')} ended with ${code}: ${said}`);
  return { wallMs: performance.now() - startMs, cpuMs: Number(cpuMs), peakMib: Number(peakMib) };
}

/** Runs `cedar validate`; the shell measures its processor time. */
async function nativeCostOf(cedar: string, { schema, policies }: ValidatedTexts): Promise<Cost> {
  const scratch = await mkdtemp(join(tmpdir(), 'remit-cedar-validate-'));
  try {
    const [schemaFile, policyFile] = [join(scratch, 's.cedarschema'), join(scratch, 'p.cedar')];
    await writeFile(schemaFile, schema);
    await writeFile(policyFile, policies);
    const startMs = performance.now();
    const { stdout, status } = spawnSync(
      'sh',
      [
        '-c',
        '"$@" >/dev/null; code=$?; times; exit $code',
        'sh',
        cedar,
        'validate',
        '--schema',
        schemaFile,
        '--policies',
        policyFile,
      ],
      { encoding: 'utf8' },
    );
    const wallMs = performance.now() - startMs;
    if (status !== 0) throw new Error(`cedar validate ended with ${status}`);
    // The second line is about the children: `0m1.66s 0m0.08s`.
    const times = [...(stdout.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
    const cpuMs = times.reduce(
      (sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1000,
      0,
    );
    return { wallMs, cpuMs, peakMib: null };
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** A release build of the Cedar command, or why there is none. */
async function nativeCedar(): Promise<{ readonly command: string } | { readonly problem: string }> {
  const named = process.env['CEDAR'];
  if (named !== undefined) return { command: named };
  const about = await readFile(join(cedarFolder, '.crates2.json'), 'utf8').catch(() => null);
  if (about === null) return { problem: 'no `cedar` in the cache (`npm run parts`), and `CEDAR` names none' };
  return about.includes('"profile":"release"')
    ? { command: join(cedarFolder, 'cedar') }
    : { problem: 'the `cedar` of the cache was built without optimisation, and `CEDAR` names no other' };
}

async function main(): Promise<void> {
  const folder = await folderOf(option('policies', 10_000));
  try {
    const texts = await textsOf(folder);
    const native = await nativeCedar();
    if ('problem' in native) say(`cedar validate is left out: ${native.problem}`);
    const ofRemit = (command: string) => () => costOf([remit, 'policy', command, folder]);
    const contenders: readonly (readonly [string, () => Promise<Cost>])[] = [
      ...('problem' in native ? [] : [['cedar validate', () => nativeCostOf(native.command, texts)] as const]),
      ['validate alone', () => costOf([self, '--alone', folder])],
      ['policy validate', ofRemit('validate')],
      ['policy lint', ofRemit('lint')],
      ['policy test', ofRemit('test')],
    ];
    const costs = contenders.map((): Cost[] => []);
    for (let round = 0; round < option('rounds', 5); round += 1) {
      for (const [index, [, run]] of contenders.entries()) costs[index]?.push(await run());
    }
    say(`ratios are to ${contenders[0]?.[0]}`);
    say('                       wall s processor s   peak MiB    by wall  by processor');
    for (const [index, [name]] of contenders.entries())
      say(`${name.padEnd(18)}${rowOf(costs[index] ?? [], costs[0] ?? [])}`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Medians over the rounds; ratios are those within a round. */
function rowOf(own: readonly Cost[], first: readonly Cost[]): string {
  const of = (key: keyof Cost): number => median(own.map((cost) => cost[key] ?? Number.NaN));
  const ratio = (key: 'wallMs' | 'cpuMs'): string =>
    median(own.map((cost, round) => cost[key] / (first[round]?.[key] ?? Number.NaN)))
      .toFixed(2)
      .padStart(11);
  const seconds = [of('wallMs'), of('cpuMs')].map((ms) => (ms / 1000).toFixed(2).padStart(11));
  const peak = own.some(({ peakMib }) => peakMib === null) ? '-' : of('peakMib').toFixed(0);
  return `${seconds.join('')}${peak.padStart(11)}${ratio('wallMs')}${ratio('cpuMs')}`;
}

const alone = process.argv.indexOf('--alone');
await (alone < 0 ? main() : validateAlone(process.argv[alone + 1] ?? ''));
