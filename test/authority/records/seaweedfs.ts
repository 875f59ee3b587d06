import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { DevProcess } from '../../../src/dev/child.ts';
import { freePorts } from '../../free-port.ts';
import { until } from '../../until.ts';

/** The credentials of the store. The product's client finds them in the environment, as that of a user would. */
const credentials = { accessKeyId: 'remit', secretAccessKey: 'only-for-this-test' };

/**
 * Starts a real S3-compatible store on ports of loopback, with a bucket `records`, and puts its credentials into the environment.
 *
 * `stop` kills it: nothing reads its folder again, and by itself it waits for seconds.
 *
 * @param weed the program of SeaweedFS
 */
export async function startSeaweedfs(weed: string, folder: string) {
  const ports = await freePorts(8);
  const names = ['master', 'volume', 'filer', 's3'];
  const listen = names.flatMap((name, index) => [
    `-${name}.port=${ports[2 * index]}`,
    `-${name}.port.grpc=${ports[2 * index + 1]}`,
  ]);
  process.env['AWS_ACCESS_KEY_ID'] = credentials.accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = credentials.secretAccessKey;
  const others = ['-s3.port.iceberg=0', '-volume.max=20', '-master.volumeSizeLimitMB=64'];
  const at = ['-ip=127.0.0.1', '-ip.bind=127.0.0.1', `-dir=${folder}`];
  const config = join(folder, 's3.json');
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = credentials;
  const identity = {
    name: 'remit',
    credentials: [{ accessKey, secretKey }],
    actions: ['Admin', 'Read', 'Write', 'List'],
  };
  writeFileSync(config, JSON.stringify({ identities: [identity] }));
  const server = new DevProcess(weed, ['server', '-filer', '-s3', `-s3.config=${config}`, ...at, ...listen, ...others]);
  const port = ports[6] ?? 0;
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 });
  await until(
    async () => {
      if (server.ended) throw new Error(`SeaweedFS did not start: ${server.stderr.slice(-5).join(' | ')}`);
      return client.send(new CreateBucketCommand({ Bucket: 'records' })).then(
        () => true,
        () => false,
      );
    },
    { what: 'SeaweedFS takes requests' },
  );
  return { client, port, stop: () => server.end(0) };
}
