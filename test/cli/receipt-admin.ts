import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TimedReceipt } from '../../src/core/fleet/receipt.ts';
import { AdminServer } from '../../src/serve/admin/server.ts';

/** An authority that serves meanwhile: its admin server, and the configuration of commands beside it. */
export interface ReceiptAdmin {
  readonly config: string;
  /** What receipts were asked of, in order. */
  readonly asked: string[];
  readonly close: () => Promise<void>;
}

/** Starts an admin server that answers with a receipt, or fails. Its configuration is in the folder, with `sqlite:state.db`. */
export async function startReceiptAdmin(folder: string, receipt: () => TimedReceipt | Error): Promise<ReceiptAdmin> {
  const asked: string[] = [];
  const admin = new AdminServer([], {
    scrape: () => ({ contentType: '', body: '' }),
    trial: () => ({}),
    receipt: (of) => {
      asked.push(of);
      const answer = receipt();
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  });
  const port = await admin.listen({ host: '127.0.0.1', port: 0 });
  const config = join(folder, 'remit.yaml');
  const text = `trustDomains: acme.test
state: sqlite:state.db
admin: { listen: '127.0.0.1:${port}' }
issuer: { url: 'https://issuer.acme.test', listen: '127.0.0.1:0', signingKey: keys }
svid: { certificate: a.pem, key: a.key, bundle: b.pem }
authority:
  listen: 127.0.0.1:9474
  sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: 'https://payments.acme.test' }
`;
  writeFileSync(config, text, { mode: 0o600 });
  return { config, asked, close: () => admin.close() };
}
