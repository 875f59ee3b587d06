import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { SERVING_FLAGS } from '../../src/core/runtime/system/v8-flags.ts';

const main = resolve(import.meta.dirname, '../../dist/main.js');

/** A `remit` command in a separate process, with its output so far. */
export interface Running {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** Exit code, or the name of the signal that ended it. */
  readonly exit: Promise<number | string>;
  /** Waits until a text was written to either stream; rejects where the process ends before, or after 60 s. */
  readonly said: (text: string | RegExp) => Promise<void>;
}

/** Variables that say what tests do; the product refuses variables that it does not know. */
const OF_TESTS = /^REMIT_(?:PARTS|SEED|THOROUGH|MATRIX_.*)$/;

const ownEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !OF_TESTS.test(name)));

/**
 * Starts the built command, which `npm test` builds; below another command, such as `strace -f`, if one is given.
 *
 * @param flags of Node; default: those of image and units, with which a start takes less processor time
 */
export function remit(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  below: readonly string[] = [],
  flags: readonly string[] = SERVING_FLAGS,
): Running {
  const [command = '', ...words] = [...below, process.execPath, ...flags, main, ...args];
  const child = spawn(command, words, {
    // No health check waits for the end of these processes, except in tests that say so.
    env: { REMIT_DRAIN_SECONDS: '0', ...ownEnvironment(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
  const exit = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  return {
    child,
    out: () => out,
    err: () => err,
    exit,
    said: (text) => waitFor(child, exit, () => `${out}${err}`, text),
  };
}

function waitFor(
  child: ChildProcess,
  exit: Promise<number | string>,
  written: () => string,
  text: string | RegExp,
): Promise<void> {
  const isSaid = (): boolean => (typeof text === 'string' ? written().includes(text) : text.test(written()));
  return new Promise((settle, reject) => {
    const look = (): void => {
      if (!isSaid()) return;
      clearTimeout(timer);
      settle();
    };
    const timer = setTimeout(() => reject(new Error(`\`${text}\` was not said within 180 s: ${written()}`)), 180_000);
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    const ended = async (): Promise<void> => {
      const code = await exit;
      look();
      clearTimeout(timer);
      reject(new Error(`ended with ${code} before it said \`${text}\`: ${written()}`));
    };
    void ended();
    look();
  });
}

/** Runs a command to its end. */
export async function ran(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | string; readonly out: string; readonly err: string }> {
  const running = remit(args, environment);
  const code = await running.exit;
  return { code, out: running.out(), err: running.err() };
}
