import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from '../../src/cli/command.ts';
import { commandRun, type CommandRun } from '../builders/command-run.ts';

/** A copy of the shipped policies to run commands on. */
export interface ExampleFolder {
  readonly path: string;
  /** Runs a command. Its output calls the folder `p`. */
  readonly run: (command: Pick<Command, 'run'>, ...args: readonly string[]) => Promise<CommandRun>;
  readonly remove: () => void;
}

/** Copies the shipped policies to a temporary folder, without the generated schema, which is stale once a test changes the catalog. */
export function exampleFolder(): ExampleFolder {
  const parent = mkdtempSync(join(tmpdir(), 'remit-policies-'));
  const path = join(parent, 'p');
  cpSync('cedar-policies', path, { recursive: true, filter: (from) => !from.endsWith('remit.cedarschema') });
  const plain = (lines: readonly string[]) => lines.map((line) => line.replaceAll(path, 'p'));
  return {
    path,
    run: async (command, ...args) => {
      // Where programs are found.
      const environment = { PATH: process.env['PATH'] };
      const { code, out, err } = await commandRun(command.run, args, { environment });
      return { code, out: plain(out), err: plain(err) };
    },
    remove: () => rmSync(parent, { recursive: true }),
  };
}
