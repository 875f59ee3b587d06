import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Command } from '../../src/cli/command.ts';
import { commandRun } from '../builders/command-run.ts';
import { allowedUse } from '../builders/ledger-record.ts';
import { testFolders } from '../builders/test-folders.ts';
import { mustOpen } from '../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../builders/task.ts';
import { mustOpenLog, settingsIn } from '../core/ledger/log/logs.ts';

const root = resolve(import.meta.dirname, '../..');

/** Every page but the one whose commands `test/policies/guide.test.ts` all runs. */
const pages = ['README.md', ...readdirSync(root, { recursive: true, encoding: 'utf8' })]
  .filter((name) => /^(?:README\.md|deploy\/.*\.md|cedar-policies\/.*\.md)$/.test(name))
  .filter((name, index, all) => all.indexOf(name) === index && name !== 'deploy/guide/start/first-policy.md');

interface Written {
  readonly page: string;
  readonly words: readonly string[];
}

/** The words of a command as a shell reads them, up to a pipe, a list or a comment; of several alternatives (`a\|b`) the first. */
function wordsOf(text: string): readonly string[] {
  const [command = ''] = text.replaceAll(/(?:\\\|[\w-]+)+/g, '').split(/ (?:[|;#]|&&|>) ?/);
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
}

/** A line of output begins with the name of a command and a colon. */
const isCommand = (text: string): boolean => /^(?:remit|sqlite3) \S/.test(text) && !/^remit [a-z ]+:/.test(text);

/** The commands of a page: after a `$` or alone on a line of a block, and in backticks. */
function commandsIn(page: string): readonly Written[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(/\\\n\s*/g, ' ');
  const blocks = [...text.matchAll(/^( *)```[^\n]*\n([^]*?)^ *```/gm)].map((match) => match[2] ?? '');
  const lines = blocks.flatMap((block) => block.split('\n')).map((line) => line.trim().replace(/^\$ /, ''));
  const spans = [...text.replaceAll(/^ *```[^]*?^ *```/gm, '').matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
  return [...lines, ...spans].filter(isCommand).map((command) => ({ page, words: wordsOf(command) }));
}

const written = pages.flatMap(commandsIn);

let commands: readonly Command[] = [];
const folder = testFolders();
let state = '';

beforeAll(async () => {
  const all: Command[] = [];
  for (const name of readdirSync(join(root, 'src/cli'), { recursive: true, encoding: 'utf8' }).filter((one) =>
    // An entry point of a thread runs as soon as it is loaded.
    /(?<!-worker)\.ts$/.test(one),
  )) {
    const module: Readonly<Record<string, unknown>> = await import(join(root, 'src/cli', name));
    for (const value of Object.values(module)) if (isCommandObject(value)) all.push(value);
  }
  commands = all.toSorted((a, b) => b.name.length - a.name.length);
  state = join(folder(), 'state.db');
  const store = mustOpen(state);
  const failure = store.insertTask(taskNumber(1), tokenNumber(1), []);
  if (failure !== null) throw new Error(JSON.stringify(failure));
  store.close();
  const log = mustOpenLog(settingsIn(dirname(state)));
  log.append([{ bytes: allowedUse(1, 1_700_000_000_000).bytes, outbox: null }], 'f'.repeat(32));
  log.close();
});

const isCommandObject = (value: unknown): value is Command =>
  typeof value === 'object' && value !== null && 'name' in value && 'help' in value && 'run' in value;

const commandOf = (words: readonly string[]): Command | undefined =>
  commands.find(({ name }) => name.split(' ').every((word, index) => words[index + 1] === word));

/** Words that only read the state file or the ledger, and need nothing else. */
const READS = [
  ['task', 'list'],
  ['task', 'show'],
  ['stop', 'list'],
  ['secrets', 'list'],
  ['ledger', 'query'],
];

/**
 * The same command on a state file and a ledger that are there; ids stand for one that is there. What only names the command, or an
 * option of it, is completed.
 */
function onOurs(words: readonly string[]): readonly string[] {
  const { id } = taskNumber(1);
  const named: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (/^(?:--(?:state|config|ledger)|-c)$/.test(word)) index += 1;
    else if (!word.startsWith('--') || index < words.length - 1 || /^--(?:json|as-test)$/.test(word))
      named.push(/^(?:ID|TASK|…|[0-9a-f]{4}[0-9a-f-]*…?)$/.test(word) ? id : word);
  }
  const isNamedOnly = named[0] === 'show' && !named.includes(id);
  return [...named, ...(isNamedOnly ? [id] : []), '--state', state];
}

async function run(command: Command, args: readonly string[]): Promise<readonly [number, readonly string[]]> {
  const { code, err } = await commandRun(command.run, args);
  return [code, err];
}

const shown = ({ page, words }: Written): string => `${relative('.', page)}: ${words.join(' ')}`;

describe('the commands in the pages', () => {
  it('are found', () => {
    expect(written.length).toBeGreaterThan(60);
    expect(written.map(shown)).toContain('deploy/guide/watch/outcomes.md: remit ledger query --kind finding');
  });

  it('are commands of `remit`, with options that those have', () => {
    const wrong = written.flatMap((one) => {
      if (one.words[0] !== 'remit') return [];
      const [first = ''] = one.words.slice(1);
      if (/^(?:COMMAND|…|-)/.test(first) || first === '--version') return [];
      const command = commandOf(one.words);
      if (command === undefined) return [`${shown(one)}: no such command`];
      const end = one.words.indexOf('--');
      const own = one.words.slice(0, end === -1 ? one.words.length : end);
      const options = own.filter((word) => /^--[a-z]/.test(word)).map((word) => word.replace(/=.*$/, ''));
      const unknown = options.filter((option) => option !== '--help' && !new RegExp(`${option}\\b`).test(command.help));
      return unknown.map((option) => `${shown(one)}: no option \`${option}\``);
    });
    expect(wrong).toEqual([]);
  });

  it('read what is there, if they read the state file or the ledger', async () => {
    const reading = written.filter(({ words }) => READS.some((all) => all.every((word, at) => words[at + 1] === word)));
    expect(reading.length).toBeGreaterThan(5);
    const failed: string[] = [];
    for (const one of reading) {
      const command = commandOf(one.words);
      if (command === undefined) continue;
      const args = onOurs(one.words.slice(1 + command.name.split(' ').length));
      const [code, err] = await run(command, args);
      if (code !== 0) failed.push(`${shown(one)}: exit ${code}: ${err.join(' ')}`);
    }
    expect(failed).toEqual([]);
  });

  it('say what the pages promise of the shipped policies, if they check those', async () => {
    const checking = written.filter(({ words }) =>
      /^remit policy (?:validate|lint) cedar-policies$/.test(words.join(' ')),
    );
    expect(checking.map(({ words }) => words[2])).toEqual(expect.arrayContaining(['validate', 'lint']));
    const failed: string[] = [];
    for (const one of checking) {
      const command = commandOf(one.words);
      const [code, err] = command === undefined ? [2, []] : await run(command, [join(root, 'cedar-policies')]);
      if (code !== 0) failed.push(`${shown(one)}: exit ${code}: ${err.join(' ')}`);
    }
    expect(failed).toEqual([]);
  });

  it('ask the state file for tables and columns that it has', () => {
    const failed = [
      ...written,
      { page: 'a page with such a command', words: wordsOf('sqlite3 state.db "SELECT id FROM tasks"') },
    ]
      .filter(({ words }) => words[0] === 'sqlite3')
      .flatMap((one) => {
        const problem = sqlProblem(one.words.at(-1) ?? '');
        return problem === null ? [] : [`${shown(one)}: ${problem}`];
      });
    expect(failed).toEqual([]);
    expect(sqlProblem("SELECT bytes FROM records WHERE kind = 'finding'")).toContain('no such table: records');
  });
});

/** Why a statement cannot be run on a state file; `null` where it can. */
function sqlProblem(sql: string): string | null {
  const database = new DatabaseSync(state, { readOnly: true });
  try {
    database.prepare(sql);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    database.close();
  }
}
