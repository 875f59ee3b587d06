import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LineSink } from '../../core/telemetry/decision-log.ts';

/** What Remit logs during the demo, in a file so that it is not mixed with the steps. */
export interface DemoLog {
  /** The file; `null` if it could not be opened: then the lines are dropped. */
  readonly file: string | null;
  readonly log: (line: string) => void;
  readonly stdout: LineSink;
  /** Resolves once everything is written. */
  readonly close: () => Promise<void>;
}

const DROPPED: LineSink = { writableLength: 0, writable: false, write: () => undefined };

/** Opens and truncates `demo.log` in a folder; a new file has mode 0600. Never rejects: a demo needs no log. */
export async function openDemoLog(folder: string): Promise<DemoLog> {
  const file = join(folder, 'demo.log');
  try {
    await mkdir(folder, { recursive: true });
    const stream = createWriteStream(file, { flags: 'w', mode: 0o600 });
    await once(stream, 'open');
    // A full disk ends the log, not the demo.
    stream.on('error', () => undefined);
    const close = async (): Promise<void> => {
      if (stream.destroyed) return;
      stream.end();
      await once(stream, 'close');
    };
    return { file, log: (line) => void stream.write(`${line}\n`), stdout: stream, close };
  } catch {
    return { file: null, log: () => undefined, stdout: DROPPED, close: async () => undefined };
  }
}
