// Light or dark: as the system has it, until somebody chooses.
import { computed, effect, signal } from "@preact/signals";

type Theme = "auto" | "light" | "dark";
const KEY = "udfleet-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(system.matches);
system.addEventListener("change", () => (systemDark.value = system.matches));

export const theme = signal<Theme>((localStorage.getItem(KEY) as Theme | null) ?? "auto");
export const dark = computed(() => (theme.value === "auto" ? systemDark.value : theme.value === "dark"));

export function nextTheme(): void {
  theme.value = theme.value === "auto" ? (systemDark.value ? "light" : "dark") : theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEY, theme.value);
}

effect(() => {
  document.documentElement.dataset.theme = dark.value ? "dark" : "light";
});
