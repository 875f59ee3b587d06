import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command, CommandIo } from '../../src/cli/command.ts';

/** A copy of the shipped policies to run commands on. */
export interface ExampleFolder {
  readonly path: string;
  /** Runs a command. Its output calls the folder `p`. */
  readonly run: (
    command: Pick<Command, 'run'>,
    ...args: readonly string[]
  ) => Promise<{ readonly code: number; readonly out: readonly string[]; readonly err: readonly string[] }>;
  readonly remove: () => void;
}

/** Copies the shipped policies to a temporary folder, without the generated schema, which is stale once a test changes the catalog. */
export function exampleFolder(): ExampleFolder {
  const parent = mkdtempSync(join(tmpdir(), 'remit-policies-'));
  const path = join(parent, 'p');
  cpSync('cedar-policies', path, { recursive: true, filter: (from) => !from.endsWith('remit.cedarschema') });
  return {
    path,
    run: async (command, ...args) => {
      const out: string[] = [];
      const err: string[] = [];
      const code = await command.run(args, exampleIo(out, err));
      const [named, messages] = [out, err].map((lines) => lines.map((line) => line.replaceAll(path, 'p')));
      return { code, out: named ?? [], err: messages ?? [] };
    },
    remove: () => rmSync(parent, { recursive: true }),
  };
}

/** What a command is run with: where its lines go, and the path of its programs. */
export const exampleIo = (out: string[], err: string[]): CommandIo => ({
  out: (line) => out.push(line),
  err: (line) => err.push(line),
  stdout: { writable: false, writableLength: 0, write: () => undefined },
  // Where programs are found.
  environment: { PATH: process.env['PATH'] },
  command: [],
  runtimeVersion: '26.0.0',
  ended: () => new Promise(() => undefined),
  onHurry: () => () => undefined,
  onReload: () => undefined,
  onSignal: () => () => undefined,
});
