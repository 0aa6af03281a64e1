// Starts the browser that a job names. JOB: {playwright, chromium, width, height}

import path from "node:path";
import { createRequire } from "node:module";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--use-gl=swiftshader", "--enable-unsafe-swiftshader",
  "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];

// Returns {browser, page, lines}: `lines` grows with every error and warning of the console.
export async function launch(job) {
  const { chromium } = createRequire(path.join(job.playwright, "/"))("playwright-core");
  const browser = await chromium.launch({ executablePath: job.chromium, args: FLAGS });
  const page = await browser.newPage({ viewport: { width: job.width, height: job.height } });
  const lines = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      lines.push(`${message.type()}: ${message.text()} ${message.location().url}`);
    }
  });
  page.on("pageerror", (error) => lines.push(`pageerror: ${error.message} ${error.stack}`));
  return { browser, page, lines };
}
