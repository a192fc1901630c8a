# Shell integration for bash 4.4 and newer, sourced by rc after the user's own files.
# rc has set __orch (the file that the daemon lets us source) and __orch_key.
# Marks are OSC 7717: P prompt begins, B it has ended, C a command begins, D a draft is in the
# way, U none is, S and E begin and end of an exec, N there will be none. None is printed without the key.
# P counts the prompts; C, D and S carry its count, so that one that is printed again is known.
# Marks go to the terminal, wherever standard output goes. Aliases are off while this is read.

__orch_mark=$'\e]7717;'$__orch_key
__orch_count=0 __orch_nonce=0 __orch_status=0 __orch_accepts=- __orch_history='' __orch_dir=''
__orch_more=0 __orch_do=/dev/null __orch_c=''
__orch_b='\['$__orch_mark$';B\a\e]133;B\a\]'
# PS2 has it: prompts are expanded, so the subscript is evaluated and nothing is shown.
__orch_2='${__orch_none[__orch_more=1]-}'

# What `set -x` would show of us is hidden; `local -` would bring back what we set ourselves.
__orch_prompt() {
  { local last=$? traced=''; [[ ! -o xtrace ]] || { traced=yes; set +x; }; } 2>/dev/null
  if [[ ${PS1-} != *"$__orch_b" ]]; then
    if ((__orch_count)) && __orch_is_early; then
      __orch_move_last
      [[ -z $traced ]] || set -x
      return "$last"
    fi
    PS1=${PS1-}
    PS1=${PS1//"$__orch_b"/}$__orch_b
  fi
  [[ -z $__orch_history ]] || { __orch_history=''; set -o history; }
  __orch_status=$last __orch_more=0 __orch_count=$((__orch_count + 1))
  PS0=${PS0-}
  PS0=${PS0//"$__orch_c"/}
  __orch_c="$__orch_mark;C;$__orch_count"$'\a'
  PS0+=$__orch_c
  [[ ${PS2-} == *"$__orch_2"* ]] || ! shopt -q promptvars || PS2=$__orch_2${PS2-}
  if [[ $PWD != "$__orch_dir" ]]; then
    __orch_dir=$PWD
    builtin printf '\e]7;file://%s%s\a' "${HOSTNAME-}" "${PWD//[^A-Za-z0-9_.\/~-]/?}" >/dev/tty
  fi
  builtin printf '%s;P;%d;%d;%s\a\e]133;A\a' \
    "$__orch_mark" "$__orch_count" "$last" "$__orch_nonce" >/dev/tty
  [[ -z $traced ]] || set -x
  return "$last"
}

# What comes after us in PROMPT_COMMAND has changed PS1, so we have to come after it. bash goes
# through the array while we change it: an element may be added or get another value, not vanish.
__orch_is_early() {
  ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) &&
    [[ ${PROMPT_COMMAND[*]: -1} != __orch_prompt ]]
}

__orch_move_last() {
  local index
  for index in "${!PROMPT_COMMAND[@]}"; do
    [[ ${PROMPT_COMMAND[index]} != __orch_prompt ]] || PROMPT_COMMAND[index]=:
  done
  PROMPT_COMMAND+=(__orch_prompt)
}

# Bound to a key that nobody has. History rests until the next prompt, or it would take the lines
# of the files that we source.  What a human has begun to type is left alone, and said so.
__orch_enter() {
  { local traced=''; [[ ! -o xtrace ]] || { traced=yes; set +x; }; } 2>/dev/null
  if [[ -z ${READLINE_LINE-} && $__orch_more == 0 ]]; then
    READLINE_LINE=' \. "$__orch"' READLINE_POINT=13
    __orch_accept accept-line
    [[ ! -o history ]] || { __orch_history=on; set +o history; }
  else
    __orch_accept '""'
    builtin printf '%s;D;%d\a' "$__orch_mark" "$__orch_count" >/dev/tty
  fi
  [[ -z $traced ]] || set -x
  return 0
}

__orch_accept() {
  local map
  [[ $__orch_accepts != "$1" ]] || return 0
  for map in emacs-standard vi-insert vi-command; do
    builtin bind -m "$map" '"\e[7717;2~": '"$1"
  done
  __orch_accepts=$1
}

# Given NONCE, the command as history keeps it, what makes the screen look as if it had been typed.
# A trigger that is typed twice executes nothing the second time.
__orch_begin() {
  { local -; set +x; } 2>/dev/null
  if [[ $1 == "$__orch_nonce" ]]; then __orch_do=/dev/null; else __orch_do=${__orch%/*}/do; fi
  __orch_nonce=$1
  [[ -z $__orch_history ]] || builtin history -s -- "$2"
  builtin printf '%b%s;S;%s;%d\a' "$3" "$__orch_mark" "$1" "$__orch_count" >/dev/tty
  return "$__orch_status"
}

# Given the status and the pane's width: behind output without a newline the prompt begins a line
# of its own, the spaces wrap. Mends what the command may have done to the next prompt.
__orch_end() {
  builtin printf '%s;E;%s;%d\a%*s\r\e[K' \
    "$__orch_mark" "$__orch_nonce" "$1" "$(($2 - 1))" '' >/dev/tty
  [[ ${PROMPT_COMMAND[*]-} == *__orch_prompt* ]] || __orch_hook
  return "$1"
}

__orch_hook() {
  if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)); then
    PROMPT_COMMAND+=(__orch_prompt)
  else
    PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}__orch_prompt
  fi
}

# The macro first lets us look at the line, then accepts it or does nothing; so what is typed for
# an exec is one key, of which no part can do any harm.
__orch_bind() {
  local map
  for map in emacs-standard vi-insert vi-command; do
    builtin bind -m "$map" -x '"\e[7717;3~": __orch_enter'
    builtin bind -m "$map" '"\e[7717;1~": "\e[7717;3~\e[7717;2~"'
  done
}

if (PROMPT_COMMAND+=() PS0=${PS0-} PS1=${PS1-} PS2=${PS2-}) 2>/dev/null; then
  __orch_hook
  __orch_bind 2>/dev/null
else
  builtin printf '%s;N\a' "$__orch_mark" >/dev/tty
fi
