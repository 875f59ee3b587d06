import { readFileSync } from 'node:fs';

/** Stops all processes of a PostgreSQL where they are, or lets them go on. */
export function signalNode({ pid }: { readonly pid: number }, signal: 'SIGSTOP' | 'SIGCONT'): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  for (const one of [pid, ...children.map(Number)]) process.kill(one, signal);
}
