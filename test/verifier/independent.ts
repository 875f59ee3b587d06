import { spawnSync } from 'node:child_process';
import { verifierPart } from '../parts.ts';

/** What the independent verifier in Go says of a ledger or a proof. */
export interface IndependentVerdict {
  /** 0 whole, 2 sound with an unsigned tail, 3 broken, 64 bad use: the exit codes of `remit ledger verify`. */
  readonly exit: number | null;
  readonly out: string;
}

const program = verifierPart().found;

/** Runs the independent verifier; throws if it is not installed. */
export function independentVerdict(...args: readonly string[]): IndependentVerdict {
  if (program === null) throw new Error('the independent verifier is not installed');
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { exit: status, out: `${stdout}${stderr}` };
}

/**
 * The exit code of the independent verifier for a ledger that `remit ledger verify` has verified too, so that a test can compare both.
 * Without the part, whose own suite says that it is skipped, it is `otherwise`.
 */
export const independentExit = (
  {
    key,
    folder,
    anchors = null,
    witnesses = [],
    witnessed,
    received,
  }: {
    readonly key: string;
    readonly folder: string;
    readonly anchors?: string | null;
    /** Their keys. */
    readonly witnesses?: readonly string[];
    /** A file of cosigned checkpoints. */
    readonly witnessed?: string;
    /** The folder of the logs of sidecars. */
    readonly received?: string;
  },
  otherwise: number,
): number | null => {
  if (program === null) return otherwise;
  const more = anchors === null ? [] : ['-anchors', anchors];
  const cosigned = witnessed === undefined ? [] : ['-witnessed', witnessed];
  const named = witnesses.flatMap((witness) => ['-witness', witness]);
  const others = received === undefined ? [] : ['-received', received];
  return independentVerdict('-key', key, ...more, ...named, ...cosigned, ...others, folder).exit;
};
