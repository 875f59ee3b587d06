/** `remit init`: write a folder to start with: configuration, Envoy, policies, SPIRE entries. */
import { relative } from 'node:path';
import { answersFrom, isForHost, QUESTIONS, withDefault } from '../tools/init/answers.ts';
import type { Answers, Given, Host, InitQuestion } from '../tools/init/answers.ts';
import type { Observe } from '../tools/init/enforcement-file.ts';
import { folderFiles } from '../tools/init/folder-files.ts';
import { shellWord } from '../tools/init/written-text.ts';
import { writeFolder } from '../tools/init/written-folder.ts';
import { systemPorts } from '../core/runtime/ports.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';

const help = `usage: remit init [FOLDER] --trust-domain NAME [OPTION ...] [--observe] [--yes] [--force]

Writes a folder to start with: remit.yaml, a configuration of Envoy, a policy folder with tests that pass, an intent, and scripts
that register everything with SPIRE and make the first call. On a terminal it asks for what no option says.

  remit init remit-host                                                       asks
  remit init remit-host --trust-domain acme.test --upstream 127.0.0.1:8080 --yes

  FOLDER                 where to write; default \`remit-host\`
${QUESTIONS.map(({ name, help: [placeholder, meaning] }) => `  --${`${name} ${placeholder}`.padEnd(21)}${meaning}`).join('\n')}
  --observe              all calls pass, and Remit records what it would have denied: for a fleet that runs. For envoy, istio,
                         istio-waypoint, envoy-gateway, kgateway; the way back is written to enforcing/
  --owner NAME           who answers for what is observed, with --observe; default USER
  --yes                  take the defaults without asking
  --force                replace files that are there; without it nothing is written if one is

exit codes: 0 written, 2 bad use, a file is there, or the folder cannot be written`;

const text = { type: 'string' } as const;
const known = {
  host: text,
  'trust-domain': text,
  upstream: text,
  tools: text,
  agent: text,
  tool: text,
  listen: text,
  issuer: text,
  'workload-api': text,
  parent: text,
  selector: text,
  observe: { type: 'boolean', default: false },
  owner: text,
  yes: { type: 'boolean', default: false },
  force: { type: 'boolean', default: false },
} as const;

/** `remit init`. */
export const init: Command = {
  name: 'init',
  help,
  run: async (args, io) => {
    const options = optionsFrom(args, known, 1);
    if (typeof options === 'string') return refused(io, 'remit init', options);
    const { yes, force, observe, owner, ...values } = options.values;
    const [folder = 'remit-host'] = options.operands;
    const given = await answered(values, yes ? undefined : io.ask, io);
    if (given === null) return refused(io, 'remit init', 'ended without an answer: nothing was written');
    const answers = answersFrom(folder, given);
    if ('problems' in answers) return refused(io, 'remit init', answers.problems.join('\n'));
    const observing = observe ? observeFrom(answers, owner ?? io.environment['USER'] ?? '') : null;
    if (observing !== null && 'problem' in observing) return refused(io, 'remit init', observing.problem);
    if (owner !== undefined && !observe) return refused(io, 'remit init', '--owner goes with --observe');
    const files = await folderFiles(answers, observing);
    const suffix = Buffer.from(systemPorts.randomBytes(6)).toString('hex');
    const problem = await writeFolder(answers.folder, files, {
      replace: force,
      suffix,
      privateFolders: answers.host === 'envoy' ? ['run', 'state'] : [],
    });
    if (problem === null)
      return printWritten(io, answers, { names: [...files.keys()], isObserving: observing !== null });
    if ('failed' in problem) return refused(io, 'remit init', `\`${folder}\` could not be written: ${problem.failed}`);
    const existing = problem.existing.map((name) => `\`${name}\``).join(', ');
    return refused(io, 'remit init', `nothing was written: \`${folder}\` has ${existing}; --force replaces them`);
  },
};

/** Hosts for which `remit init` writes observing files: all calls pass, also while Remit is unreachable. */
const OBSERVED_HOSTS: ReadonlySet<Host> = new Set(['envoy', 'istio', 'istio-waypoint', 'envoy-gateway', 'kgateway']);

function observeFrom({ host }: Answers, owner: string): Observe | { readonly problem: string } {
  if (!OBSERVED_HOSTS.has(host))
    return {
      problem: `--observe is not for ${host}: it has no shipped files that let calls pass. \`remit help install/hosts/${host}\` says what fails there`,
    };
  return /^[\w.@ -]{1,128}$/.test(owner)
    ? { owner, nowMs: systemPorts.nowMs() }
    : { problem: '--observe needs --owner NAME: who answers for what is observed, such as team-payments' };
}

/** The answers of options and terminal, with defaults for the rest; `null` if the terminal was closed. */
async function answered(values: Given, ask: CommandIo['ask'], io: CommandIo): Promise<Given | null> {
  const socket = io.environment['SPIFFE_ENDPOINT_SOCKET'];
  let given: Given = socket === undefined || socket === '' ? values : { 'workload-api': socket, ...values };
  for (const question of QUESTIONS) {
    const text = given[question.name] ?? (await asked(question, given, { ask, io }));
    if (text === null) return null;
    given = text === '' ? withDefault(given, question) : { ...given, [question.name]: text };
  }
  return given;
}

/** Asks until the answer is good. `''` means the default. */
async function asked(
  question: InitQuestion,
  given: Given,
  { ask, io }: { readonly ask: CommandIo['ask']; readonly io: CommandIo },
): Promise<string | null> {
  if (ask === undefined || question.ask === null || !isForHost(question, given)) return '';
  const byDefault = question.byDefault(given);
  for (;;) {
    const line = await ask(`${question.ask}${byDefault === null ? '' : ` [${byDefault}]`}: `);
    if (line === null) return null;
    const answer = line.trim();
    const problem = answer === '' && byDefault !== null ? null : question.problem(answer, given);
    if (problem === null) return answer;
    io.err(problem);
  }
}

const WAY_IN =
  'remit help start/bring-it-in  # deploy/guide/start/bring-it-in.md: what to look at each day, and how to enforce';

interface Written {
  readonly names: readonly string[];
  /** Whether all calls are observed. */
  readonly isObserving: boolean;
}

function printWritten(io: CommandIo, { folder, selector, host }: Answers, { names, isObserving }: Written): number {
  const place = relative('.', folder);
  const shown = place === '' ? '.' : place.startsWith('..') ? folder : place;
  for (const name of names) io.out(`${shown}/${name}`);
  const at = (name: string): string => shellWord(`${shown}/${name}`);
  if (selector === null && host === 'envoy')
    io.err('register.sh gives Remit, Envoy and the agent a user each: --selector is the same for all, to try it');
  const common = [`sh ${at('register.sh')}`, `remit policy test ${at('policies')}`];
  const next =
    host === 'envoy'
      ? [
          ...common,
          `remit serve --config ${at('remit.yaml')}`,
          `envoy -c ${at('envoy.yaml')}`,
          `sh ${at('first-call.sh')}`,
        ]
      : [
          ...common,
          `remit serve --check --config ${at('remit.yaml')}`,
          `see deploy/guide/install/hosts/${host}.md for ${at(host)}`,
        ];
  io.err(['next:', ...next, ...(isObserving ? [WAY_IN] : [])].join('\n  '));
  return EXIT.good;
}
