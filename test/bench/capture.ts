import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { join } from 'node:path';
import { startEnvoy } from './envoy-under-test.ts';
import type { EnvoyVariant } from './envoy-under-test.ts';
import { answerTo } from './load.ts';
import type { Load } from './load.ts';
import type { Stage } from './stage.ts';

const asIs = (bytes: Buffer): Buffer => bytes;

let captures = 0;

/** The CheckRequest that a real Envoy makes from the first call of a load, byte for byte. */
export async function capturedCheck(stage: Stage, load: Load, variant: Omit<EnvoyVariant, 'socket'>): Promise<Buffer> {
  const socket = join(stage.folder, `capture-${(captures += 1)}.sock`);
  const server = new Server();
  const seen = Promise.withResolvers<Buffer>();
  const Check = {
    path: '/envoy.service.auth.v3.Authorization/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  } as const;
  server.addService(
    { Check },
    {
      Check: ({ request }: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => {
        seen.resolve(request);
        // A missing status means OK.
        respond(null, Buffer.alloc(0));
      },
    },
  );
  await new Promise<void>((done, failed) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? done() : failed(error),
    ),
  );
  const envoy = await startEnvoy(stage, { ...variant, socket });
  const [call] = load.calls;
  if (call === undefined) throw new Error('a load without calls');
  await answerTo(envoy.address.port, load, call);
  await envoy.stop();
  server.forceShutdown();
  return seen.promise;
}
