import { execFileSync } from 'node:child_process';

/** The environment of a process whose wall clock is off by so much (`+1h`), while its monotonic clock is right. */
export function clockOff(faketime: string, by: string): Readonly<Record<string, string>> {
  const environment = execFileSync(faketime, ['-f', by, 'env'], { encoding: 'utf8' });
  const library = /^LD_PRELOAD=(.+)$/m.exec(environment)?.[1];
  if (library === undefined) throw new Error('faketime names no library');
  return { LD_PRELOAD: library, FAKETIME: by, DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}
