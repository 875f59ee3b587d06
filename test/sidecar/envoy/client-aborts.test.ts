import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWith, envoyPart } from '../../parts.ts';
import { envoyVersions } from '../../parts/cache.ts';
import { until } from '../../until.ts';
import { allow, get, handlerOf, Wire } from './wire.ts';

for (const version of envoyVersions) {
  describeWith(
    envoyPart(version),
    `AuthorizationServer asked by Envoy ${version} for clients that go away`,
    (binary) => {
      let wire: Wire;
      beforeAll(async () => {
        wire = await Wire.start(binary, ['raw']);
      });
      afterAll(() => wire.stop());

      it('keeps every other check while 2,000 clients disconnect, far more than 33 a second', async () => {
        let asked = 0;
        let isLeaving = false;
        wire.handler = async (bytes, call) => {
          asked += 1;
          // Not for a fixed time: a loaded machine answers before it lets the clients go.
          if (isLeaving) await until(() => call.signal.aborted);
          return handlerOf(allow)(bytes, call);
        };
        const waves = 125;
        for (let wave = 0; wave < waves; wave += 1) {
          const before = asked;
          isLeaving = true;
          const gone = Array.from({ length: 15 }, () => wire.leaves('raw', get('/gone')));
          await until(() => asked > before);
          for (const leave of gone) leave();
          if (wave % 5 !== 0) continue;
          await until(() => wire.server.inFlight === 0);
          isLeaving = false;
          expect((await wire.to('raw', get('/stays'))).status).toBe(200);
        }
        expect(asked).toBeGreaterThan(1_200);
        await until(() => wire.server.inFlight === 0);
        const stats = (await wire.envoy.admin('/stats?filter=cluster.remit.upstream_(cx_destroy_remote|rq_tx_reset)'))
          .body;
        expect(stats).toContain('cluster.remit.upstream_cx_destroy_remote_with_active_rq: 0');
        // Each would be a reset beyond Node's default bound.
        expect(Number(/upstream_rq_tx_reset: (\d+)/.exec(stats)?.[1])).toBeGreaterThan(1_000);
      });
    },
  );
}
