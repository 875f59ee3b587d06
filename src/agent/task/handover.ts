import type { Ports } from '../../core/runtime/ports.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { TaskCredential } from './issuer-client.ts';
import { TokenEndpoint } from './token-endpoint.ts';
import { HandedFile } from './handed-file.ts';
import { TokenKeeper } from './token-keeper.ts';
import type { KeeperOptions } from './token-keeper.ts';

/** How a command gets its token: from an endpoint, from a file, or from a variable, which is never renewed. */
export type HandoverForm = 'endpoint' | 'variable' | { readonly file: string };

/** A token available to the command. `close` withdraws it. */
export interface Handover {
  /** Variables for the command's environment. */
  readonly variables: Readonly<Record<string, string>>;
  readonly close: () => Promise<void>;
}

/** A handover of the token with the keeper that renews it; `null` if nothing renews it. */
export interface TokenHandover extends Handover {
  readonly keeper: TokenKeeper | null;
}

/** Bytes of the endpoint's bearer: 256 bits. */
const BEARER_BYTES = 32;
const MARK_BYTES = 6;

/** Makes the tokens of a task available to a command and keeps them fresh until `close`. */
export async function handOver(
  form: HandoverForm,
  first: { readonly credential: TaskCredential; readonly generation: number },
  options: Omit<KeeperOptions, 'onToken'> & { readonly ports: Pick<Ports, 'randomBytes'> },
): Promise<TokenHandover | Problem> {
  const random = (bytes: number): string => Buffer.from(options.ports.randomBytes(bytes)).toString('base64url');
  if (form === 'variable') {
    return { variables: { REMIT_TOKEN: first.credential.token }, keeper: null, close: async () => undefined };
  }
  if (form === 'endpoint') {
    const keeper = new TokenKeeper(first, { ...options, onToken: async () => undefined });
    const bearer = random(BEARER_BYTES);
    const endpoint = await TokenEndpoint.listen({
      current: () => keeper.current(),
      bearer,
      nowMs: options.nowMs,
    });
    return {
      variables: { REMIT_TOKEN_URL: endpoint.url, REMIT_TOKEN_URL_AUTH: bearer },
      keeper,
      close: async () => {
        keeper.close();
        await endpoint.close();
      },
    };
  }
  const file = new HandedFile(form.file, { what: 'token', mark: random(MARK_BYTES) });
  const problem = await file.write(first.credential.token);
  if (problem !== null) return problem;
  let writing: Promise<Problem | null> = Promise.resolve(null);
  const keeper = new TokenKeeper(first, {
    ...options,
    onToken: async ({ token }) => {
      writing = file.write(token);
      const failed = await writing;
      if (failed !== null) options.tell(failed.problem);
    },
  });
  return {
    variables: { REMIT_TOKEN_FILE: file.path },
    keeper,
    close: async () => {
      keeper.close();
      // Its rename would make the file again.
      await writing;
      await file.remove();
    },
  };
}
