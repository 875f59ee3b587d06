import { systemPorts } from '../../core/runtime/ports.ts';
import type { CommandIo } from '../command.ts';

const EVERY_MS = 500;
const MIB = 1024 ** 2;

/** Shows progress on a terminal twice a second. It names the file being copied, and the MiB copied so far. */
export function copyProgress(
  command: string,
  { progress }: Pick<CommandIo, 'progress'>,
): { readonly at: (file: string, bytes: number) => void; readonly end: () => void } {
  let saidMs = Number.NEGATIVE_INFINITY;
  return {
    at: (file, bytes) => {
      if (progress === undefined || systemPorts.monotonicMs() - saidMs < EVERY_MS) return;
      saidMs = systemPorts.monotonicMs();
      progress(`${command}: ${file}: ${Math.floor(bytes / MIB)} MiB`);
    },
    end: () => progress?.(''),
  };
}
