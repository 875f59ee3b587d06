import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';

/** What a mesh gives an agent: a local port that leads to Envoy with the certificate of the agent, and adds no token. */
export interface CertificateAlone {
  /** `http://localhost:PORT`. */
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** Opens it for the agent with `planner.pem`, `planner.key` and `bundle.pem` in `folder`. */
export async function certificateAlone(folder: string, envoyPort: number): Promise<CertificateAlone> {
  const read = (name: string): Promise<Buffer> => readFile(join(folder, name));
  const [cert, key, ca] = await Promise.all(['planner.pem', 'planner.key', 'bundle.pem'].map(read));
  const server = createServer((near) => {
    const far = connect({ host: 'localhost', port: envoyPort, cert, key, ca, servername: 'localhost' });
    const close = (): void => {
      near.destroy();
      far.destroy();
    };
    near.on('error', close).on('close', close).pipe(far);
    far.on('error', close).on('close', close).pipe(near);
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
