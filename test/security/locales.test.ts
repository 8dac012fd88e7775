/**
 * A program that is sealed and cut as pause is gets an answer or an error for every locale, time zone, calendar or text
 * it asks for, and never a crash or a hang: in every way that JavaScript has.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "../../scripts/executable/compile.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";

/** A program that evaluates its argument and prints the result. */
const PROGRAM = `
import * as buffer from "node:buffer";
import * as path from "node:path";
import * as punycode from "node:punycode";
import * as url from "node:url";
import * as util from "node:util";
Object.assign(globalThis, { buffer, path, punycode, url, util });
globalThis.each = (list, ask) => list.map((it) => { try { return ask(it); } catch (error) { return String(error); } });
try {
  console.log(JSON.stringify((0, eval)(process.argv[2])));
} catch (error) {
  console.log(String(error));
}
`;

/** What has to do with languages: the root locale answers, or nothing does, with an error. */
const LOCALES = {
  Collator: `
    new Intl.Collator().compare("a", "b")
    new Intl.Collator("de", { collation: "phonebk", usage: "search", numeric: true }).compare("a", "ä")
    new Intl.Collator("zh").resolvedOptions()
    ["b", "ä", "a"].sort(new Intl.Collator("sv").compare)`,
  DateTimeFormat: `
    new Intl.DateTimeFormat().format(0)
    new Intl.DateTimeFormat("de", { dateStyle: "full", timeStyle: "full" }).formatToParts(0)
    new Intl.DateTimeFormat("ja", { era: "long", weekday: "long", month: "long", dayPeriod: "long", hour: "numeric" }).format(0)
    new Intl.DateTimeFormat("en").formatRange(0, 1e12)
    new Intl.DateTimeFormat("en").formatRangeToParts(0, 1e12)
    new Intl.DateTimeFormat("ar-EG").resolvedOptions()
    each(Intl.supportedValuesOf("timeZone"), (timeZone) => new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "long" }).format(0))
    each(["short", "shortOffset", "longOffset", "shortGeneric", "longGeneric"], (timeZoneName) => new Intl.DateTimeFormat("en", { timeZoneName, timeZone: "Asia/Tokyo" }).format(0))
    each(Intl.supportedValuesOf("calendar"), (calendar) => new Intl.DateTimeFormat("en", { calendar, dateStyle: "full" }).format(0))
    new Intl.DateTimeFormat("en", { timeZone: "Nowhere/Here" })`,
  NumberFormat: `
    new Intl.NumberFormat().format(1234.5)
    new Intl.NumberFormat("de", { style: "currency", currency: "EUR" }).formatToParts(1234.5)
    new Intl.NumberFormat("de", { style: "currency", currency: "EUR", currencyDisplay: "name" }).format(1234.5)
    new Intl.NumberFormat("de", { style: "percent" }).format(0.5)
    each(Intl.supportedValuesOf("unit"), (unit) => new Intl.NumberFormat("de", { style: "unit", unit, unitDisplay: "long" }).format(2))
    each(["standard", "scientific", "engineering", "compact"], (notation) => new Intl.NumberFormat("ja", { notation }).format(123456789n))
    each(["arab", "hanidec", "roman", "taml", "latn"], (numberingSystem) => new Intl.NumberFormat("en", { numberingSystem }).formatRange(1, 2))
    new Intl.NumberFormat("ar-EG").resolvedOptions()`,
  "PluralRules, RelativeTimeFormat, ListFormat, DurationFormat": `
    new Intl.PluralRules("pl").select(3)
    new Intl.PluralRules("en", { type: "ordinal" }).selectRange(1, 2)
    new Intl.PluralRules("en").resolvedOptions()
    new Intl.RelativeTimeFormat("de", { numeric: "auto" }).format(-1, "day")
    new Intl.RelativeTimeFormat("de").formatToParts(2, "month")
    new Intl.ListFormat("de", { type: "disjunction" }).format(["a", "b", "c"])
    new Intl.ListFormat("de").formatToParts(["a", "b"])
    new Intl.DurationFormat("de", { style: "digital" }).format({ hours: 1, minutes: 2 })
    new Intl.DurationFormat("de", { style: "long" }).formatToParts({ years: 1, seconds: 2 })`,
  DisplayNames: `
    each(["de", "zh-Hant-TW"], (it) => new Intl.DisplayNames("de", { type: "language" }).of(it))
    new Intl.DisplayNames("de", { type: "language", languageDisplay: "standard" }).of("de-AT")
    new Intl.DisplayNames("de", { type: "region" }).of("DE")
    new Intl.DisplayNames("de", { type: "script" }).of("Latn")
    new Intl.DisplayNames("de", { type: "currency" }).of("EUR")
    new Intl.DisplayNames("de", { type: "calendar" }).of("hebrew")
    new Intl.DisplayNames("de", { type: "dateTimeField" }).of("day")`,
  Segmenter: `
    each(["grapheme", "word", "sentence"], (granularity) => [...new Intl.Segmenter("en", { granularity }).segment("Ein Satz. 👩‍👩‍👧")].length)
    each(["th", "km", "lo", "my", "ja"], (it) => [...new Intl.Segmenter(it, { granularity: "word" }).segment("ภาษาไทย 日本語")].length)`,
  Locale: `
    new Intl.Locale("de").maximize().toString()
    new Intl.Locale("zh-Hant-TW").minimize().toString()
    new Intl.Locale("en", { calendar: "islamic", numberingSystem: "arab", hourCycle: "h23" }).toString()
    new Intl.Locale("de-DE").getCalendars()
    new Intl.Locale("de-DE").getCollations()
    new Intl.Locale("de-DE").getHourCycles()
    new Intl.Locale("de-DE").getNumberingSystems()
    new Intl.Locale("de-DE").getTextInfo()
    new Intl.Locale("de-DE").getTimeZones()
    new Intl.Locale("de-DE").getWeekInfo()
    new Intl.Locale("x-private").language
    new Intl.Locale("!")`,
  "what there is": `
    each(["Collator", "DateTimeFormat", "DisplayNames", "DurationFormat", "ListFormat", "NumberFormat", "PluralRules", "RelativeTimeFormat", "Segmenter"], (it) => Intl[it].supportedLocalesOf(["de", "en-US", "root"]))
    Intl.getCanonicalLocales(["DE-de", "iw", "sh", "zh-cmn", "i-klingon"])
    each(["calendar", "collation", "currency", "numberingSystem", "timeZone", "unit"], (it) => Intl.supportedValuesOf(it).length)`,
  "toLocaleString and localeCompare": `
    (1234.5).toLocaleString()
    (1234.5).toLocaleString("de")
    1234n.toLocaleString("de")
    [1, 2.5, new Date(0)].toLocaleString("de")
    new Float64Array([1.5]).toLocaleString("de")
    new Date(0).toLocaleString()
    new Date(0).toLocaleDateString()
    new Date(0).toLocaleTimeString()
    new Date(0).toLocaleString("de", { timeZone: "Asia/Tokyo" })
    new Date(NaN).toLocaleString()
    ({}).toLocaleString()
    "i".toLocaleUpperCase()
    "i".toLocaleUpperCase("tr")
    "I".toLocaleLowerCase("lt")
    "a".localeCompare("b")
    "a".localeCompare("ä", "de", { sensitivity: "base" })
    "a".localeCompare("ä", ["xx", "sv"])
    ["b", "ä", "日", "a"].sort((a, b) => a.localeCompare(b))`,
  "Temporal, in words": `
    Temporal.Now.instant().toLocaleString("de").length > 0
    Temporal.PlainDate.from("2020-01-01").toLocaleString("de")
    Temporal.PlainDate.from("2020-01-01[u-ca=hebrew]").toLocaleString("de")
    Temporal.PlainDateTime.from("2020-01-01T10:00").toLocaleString()
    Temporal.PlainTime.from("10:00").toLocaleString("de")
    Temporal.PlainYearMonth.from("2020-01").toLocaleString("de")
    Temporal.PlainMonthDay.from("01-02").toLocaleString("de")
    Temporal.ZonedDateTime.from("2020-01-01T00:00[Europe/Berlin]").toLocaleString("de")
    new Temporal.Duration(1).toLocaleString("de")`,
} as const;

/** What has a right answer in every language: it is that of the Bun that runs this test, whose data is complete. */
const EXACT = {
  "letters and their kinds": `
    ["ß", "ǆ", "ŉ", "ﬁ", "ΐ", "i"].map((it) => it.toUpperCase())
    ["İ", "Σ", "ΑΣ", "K"].map((it) => it.toLowerCase())
    ["NFC", "NFD", "NFKC", "NFKD"].map((form) => "ﬁ é ﷺ ½ 각 ẛ̣".normalize(form))
    "\\ud800x".isWellFormed() || "\\ud800x".toWellFormed()
    Bun.stringWidth("👩‍👩‍👧 日本")
    encodeURIComponent("ä😀") + escape("ä")
    util.inspect({ ä: "日本\\u200d" })`,
  "regular expressions": `
    [/\\p{L}/u, /\\p{Script=Greek}/u, /\\p{Script_Extensions=Han}/u, /\\p{Emoji}/u, /\\p{ID_Start}/u].map((it) => it.test("αä日👍"))
    [/^\\p{RGI_Emoji}$/v, /^\\p{Emoji_Keycap_Sequence}$/v, /^\\p{RGI_Flag_Sequence}$/v].map((it) => ["👍🏽", "1️⃣", "🇩🇪"].map((text) => it.test(text)))
    [/[\\p{L}--[a-z]]/v, /[\\p{ASCII}&&\\p{L}]/v].map((it) => ["a", "A", "ä"].map((text) => it.test(text)))
    [/ſ/iu, /ß/iu, /K/iu, /σ/iu, /[^x]/iv, /\\w/iu].map((it) => ["s", "ẞ", "k", "ς", "ſ"].map((text) => it.test(text)))
    "a-b c".split(/\\b/u)`,
  dates: `
    (process.env.TZ = "Europe/Berlin", new Date(2020, 6, 1).toString().slice(0, 33))
    (process.env.TZ = "America/St_Johns", [new Date(2020, 0, 1).getTimezoneOffset(), new Date("2020-07-01T00:00").toISOString()])
    (process.env.TZ = "Nowhere/Here", new Date(0).getTimezoneOffset())
    (process.env.TZ = "UTC", new Date(8.64e15).toString().slice(0, 35))
    (process.env.TZ = "Asia/Tokyo", Intl.DateTimeFormat().resolvedOptions().timeZone)
    ["Tue, 01 Jan 2020 00:00:00 +0200", "Jan 1 2020 10:00 PST", "2020-01-01", "x"].map((it) => Date.parse(it))
    JSON.stringify([new Date(0), new Date(0).toUTCString(), structuredClone(new Date(0))])
    typeof Temporal
    Temporal.ZonedDateTime.from("2020-03-29T02:30[Europe/Berlin]").toString()
    Temporal.ZonedDateTime.from("2020-03-29T02:30[Europe/Berlin]").getTimeZoneTransition("next").toString()
    Intl.supportedValuesOf("timeZone").filter((it) => Temporal.Now.zonedDateTimeISO(it).timeZoneId !== it)
    each(Intl.supportedValuesOf("calendar"), (it) => Temporal.PlainDate.from("2020-01-01").withCalendar(it).add({ months: 3 }).toString())
    each(Intl.supportedValuesOf("calendar"), (it) => { const date = Temporal.PlainDate.from("2020-01-01").withCalendar(it); return [date.year, date.monthCode, date.day, date.daysInYear, date.era]; })
    Temporal.Instant.from("2020-01-01T00:00Z").until("2021-01-01T00:00Z", { largestUnit: "hours" }).toString()`,
  encodings: `
    each(["utf-8", "utf-16le", "utf-16be", "windows-1252", "koi8-r", "macintosh", "ibm866", "iso-8859-8-i", "x-user-defined"], (it) => new TextDecoder(it).decode(new Uint8Array([0x41, 0xe4, 0x42, 0])))
    each(["shift_jis", "euc-jp", "iso-2022-jp", "gbk", "gb18030", "big5", "euc-kr"], (it) => new TextDecoder(it).decode(new Uint8Array([0x41, 0xc4, 0xe3, 0x83, 0x65])))
    new TextDecoder("nonsense")
    [...new TextEncoder().encode("ä😀")]
    buffer.transcode(Buffer.from("ä€"), "utf8", "latin1").toString("latin1")`,
  "names of hosts and of files": `
    each(["http://bücher.example/ß?ä#ü", "http://faß.de", "http://ﬁ.example", "http://xn--bcher-kva.example", "http://日本。jp", "http://xn--a", "http://a\\u00adb"], (it) => new URL(it).href)
    [url.domainToASCII("bücher.example"), url.domainToUnicode("xn--bcher-kva.example")]
    punycode.toASCII("mañana.com") + punycode.toUnicode("xn--maana-pta.com")
    URL.canParse("http://ä") && new URLSearchParams("ä=ö").toString()
    path.normalize("/ä/../é") + path.basename("/x/日本.txt", ".txt")`,
} as const;

const folder = mkdtempSync(join(tmpdir(), "pause-locales-"));
const source = join(folder, "ask.ts");
const program = join(folder, "program");

beforeAll(async () => {
  writeFileSync(source, PROGRAM);
  await compile(hostPlatform(), program, source);
}, 600_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** What `command` says to `question`, and how it ends; it has ten minutes. */
async function ask(command: readonly string[], question: string): Promise<string> {
  const child = Bun.spawn([...command, question], {
    env: {},
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 600_000,
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode === 0 && stderr === "") return stdout.trimEnd();
  return `status ${child.exitCode}, signal ${child.signalCode}: ${stdout}${stderr.slice(0, 500)}`;
}

const questions = (text: string): string[] => text.trim().split(/\n\s*/);

describe("a locale", () => {
  test.each(Object.entries(LOCALES))(
    "%s",
    async (_, text) => {
      for (const question of questions(text)) {
        const answer = await ask([program], question);
        // JSON, or an error.
        const good = /^(TypeError|RangeError): ./.test(answer) || answer === "undefined" || isJson(answer);
        expect({ question, answer: good || answer }).toEqual({ question, answer: true });
      }
    },
    600_000,
  );
});

/** Whether `text` is JSON. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("the same answer as with all data", () => {
  test.each(Object.entries(EXACT))(
    "%s",
    async (_, text) => {
      for (const question of questions(text)) {
        const [now, before] = await Promise.all([ask([program], question), ask([process.execPath, source], question)]);
        expect({ question, answer: now }).toEqual({ question, answer: before });
      }
    },
    600_000,
  );
});

test("the root locale answers where there is no other", async () => {
  expect(await ask([program], "[1234.5, 1e21].map((it) => it.toLocaleString('de'))")).toBe(
    '["1,234.5","1,000,000,000,000,000,000,000"]',
  );
  expect(await ask([program], "new Date(0).toLocaleDateString('de', { timeZone: 'UTC' })")).toBe('"1970-01-01"');
});
