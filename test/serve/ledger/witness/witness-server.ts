import { createServer, type IncomingMessage, type Server } from 'node:http';
import { checkpointFrom } from '../../../../src/core/ledger/proof/checkpoint.ts';
import { consistencyProblem } from '../../../../src/core/ledger/proof/consistency-proof.ts';
import { noteKeyFrom, type NoteKey } from '../../../../src/core/ledger/proof/note-key.ts';
import { openedNote } from '../../../../src/core/ledger/proof/signed-note.ts';
import type { Witness } from '../../../../src/serve/ledger/witness/witness-visit.ts';
import { cosignatureLine, witnessNumber } from '../../../core/ledger/proof/witnesses.ts';
import { must } from '../../../builders/must.ts';

/** What a witness answers. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A witness of one log in this process, by C2SP tlog-witness, which a test can make answer something else. */
export class WitnessServer {
  /** What it was asked, by the old size of each request. */
  readonly asked: number[] = [];
  /** What it has cosigned. */
  size = 0;
  root: Uint8Array = new Uint8Array();
  /** Answers instead of it; `null` lets it answer. */
  instead: ((request: { readonly old: number; readonly note: string }) => Answer | null) | null = null;
  readonly witness: Witness;
  readonly #server: Server;
  readonly #log: NoteKey;

  private constructor(server: Server, port: number, logKey: string, n: number) {
    this.#server = server;
    this.#log = must(noteKeyFrom(logKey));
    this.witness = { url: `http://127.0.0.1:${port}/w`, key: witnessNumber(n).key };
    this.#server.on('request', (request: IncomingMessage, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { status, body, headers = {} } = this.#answer(request, Buffer.concat(chunks).toString(), n);
        response.writeHead(status, headers).end(body);
      });
    });
  }

  /** Starts witness number `n` of the log with this verifier key. */
  static async start(logKey: string, n = 1): Promise<WitnessServer> {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new WitnessServer(server, address.port, logKey, n);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer({ method, url }: IncomingMessage, body: string, n: number): Answer {
    if (method !== 'POST' || url !== '/w/add-checkpoint') return { status: 404, body: 'no such page\n' };
    const at = body.indexOf('\n\n');
    const [first = '', ...lines] = body.slice(0, at).split('\n');
    const old = Number(/^old (0|[1-9]\d*)$/.exec(first)?.[1] ?? Number.NaN);
    const note = body.slice(at + 2);
    this.asked.push(old);
    const other = this.instead?.({ old, note }) ?? null;
    if (other !== null) return other;
    if (!note.startsWith(`${this.#log.name}\n`)) return { status: 404, body: '' };
    const opened = openedNote(note, [this.#log]);
    if ('problem' in opened) return { status: 403, body: '' };
    const { size, root } = must(checkpointFrom(opened.text));
    if (old > size) return { status: 400, body: '' };
    if (old !== this.size)
      return { status: 409, headers: { 'content-type': 'text/x.tlog.size' }, body: `${this.size}\n` };
    const proof = lines.map((line) => Buffer.from(line, 'base64'));
    if (old > 0) {
      if (old === size && Buffer.compare(root, this.root) !== 0) return { status: 409, body: '' };
      const problem = consistencyProblem({ oldSize: old, oldRoot: this.root, size, root, proof });
      if (problem !== null) return { status: 422, body: problem };
    }
    this.size = size;
    this.root = root;
    return { status: 200, body: cosignatureLine(witnessNumber(n), opened.text, 1_800_000_000) };
  }
}
