/** What most files of tests need, from before their first test until after the last. */
import { afterAll, beforeAll } from 'vitest';
import { type Browser, startChromium } from './browsers.ts';
import { type Switchyard, startSwitchyard } from './switchyard.ts';

/** To be read within hooks and tests. */
export interface Stage {
  readonly switchyard: Switchyard;
  readonly browser: Browser;
}

/** A Switchyard and a Chromium beside it; hooks of the file that calls this come after. */
export function openStage(...args: Parameters<typeof startSwitchyard>): Stage {
  let switchyard: Switchyard | undefined;
  let browser: Browser | undefined;
  beforeAll(async () => {
    switchyard = await startSwitchyard(...args);
    browser = await startChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await switchyard?.stop();
  });
  const opened = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error('the stage opens before the first test, and not earlier');
    return part;
  };
  return {
    get switchyard() {
      return opened(switchyard);
    },
    get browser() {
      return opened(browser);
    },
  };
}
