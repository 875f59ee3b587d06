import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A page in a real headless browser. */
export interface Page {
  open(url: string): Promise<void>;
  /** The value of a JavaScript expression in the page, which must be representable in JSON. */
  evaluate(expression: string): Promise<unknown>;
  /** A screenshot of the page, as PNG. */
  screenshot(): Promise<Buffer>;
  /** Lays the page out as for print, in a window of this width in CSS pixels. */
  asPrinted(width: number): Promise<void>;
  /** The page as PDF, on the sheets that it asks for. */
  pdf(): Promise<Buffer>;
  close(): Promise<void>;
}

/**
 * Starts Chromium with a temporary profile and one page, 1600 pixels wide.
 *
 * @see Chrome DevTools Protocol
 */
export async function startChromium(binary: string): Promise<Page> {
  const profile = await mkdtemp(join(tmpdir(), 'remit-chromium-'));
  const child = spawn(
    binary,
    [
      '--headless',
      // Its sandbox needs user namespaces, which a container may lack. It opens only pages of this machine.
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--disable-background-networking',
      '--window-size=1600,1200',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = once(child, 'exit');
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const browser = await Devtools.connect(await addressOf(child.stderr));
    const { targetId } = await browser.ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.ask('Target.attachToTarget', { targetId, flatten: true });
    const ask: Devtools['ask'] = (method, parameters) => browser.ask(method, parameters, String(sessionId));
    return {
      open: async (url) => void (await ask('Page.navigate', { url })),
      evaluate: async (expression) => {
        const { result, exceptionDetails } = await ask('Runtime.evaluate', { expression, returnByValue: true });
        if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
        return (result as { readonly value?: unknown }).value;
      },
      screenshot: async () => Buffer.from(String((await ask('Page.captureScreenshot'))['data']), 'base64'),
      asPrinted: async (width) => {
        await ask('Emulation.setEmulatedMedia', { media: 'print' });
        const metrics = { width, height: 1_000, deviceScaleFactor: 1, mobile: false };
        await ask('Emulation.setDeviceMetricsOverride', metrics);
      },
      pdf: async () => {
        const { data } = await ask('Page.printToPDF', { preferCSSPageSize: true, printBackground: true });
        return Buffer.from(String(data), 'base64');
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function addressOf(stderr: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stderr })) {
    const address = /^DevTools listening on (ws:\S+)$/.exec(line)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error('Chromium ended');
}

type Answer = Readonly<Record<string, unknown>>;

/** A client of the protocol: matches answers to requests by number. */
class Devtools {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #asked = 0;

  static async connect(address: string): Promise<Devtools> {
    const socket = new WebSocket(address);
    await once(socket, 'open');
    return new Devtools(socket);
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { id, result, error } = JSON.parse(String(data));
      if (error === undefined) this.#waiting.get(id)?.resolve(result);
      else this.#waiting.get(id)?.reject(new Error(JSON.stringify(error)));
      this.#waiting.delete(id);
    });
  }

  ask(method: string, params: object = {}, sessionId?: string): Promise<Answer> {
    const answer = Promise.withResolvers<Answer>();
    this.#asked += 1;
    this.#waiting.set(this.#asked, answer);
    this.#socket.send(JSON.stringify({ id: this.#asked, method, params, sessionId }));
    return answer.promise;
  }
}
