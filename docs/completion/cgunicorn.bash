# SPDX-License-Identifier: MIT
# Made from config/settings.def by config/docgen_shell.c.
_cgunicorn_words() {
    local current=$1
    shift
    mapfile -t COMPREPLY < <(compgen -W "$*" -- "$current")
}

_cgunicorn() {
    local current=${COMP_WORDS[COMP_CWORD]}
    local before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    # bash splits --option=word into three
    if [[ $current == = ]]; then
        current=
    elif [[ $before == = && $COMP_CWORD -ge 2 ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $before in
    -c | --config)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    -b | --bind)
        : # any text
        return
        ;;
    --backlog)
        : # any text
        return
        ;;
    -w | --workers)
        _cgunicorn_words "$current" auto
        return
        ;;
    -k | --worker-class)
        _cgunicorn_words "$current" sync gthread gevent eventlet tornado asgi
        return
        ;;
    --threads)
        : # any text
        return
        ;;
    --worker-connections)
        : # any text
        return
        ;;
    --max-requests)
        : # any text
        return
        ;;
    --max-requests-jitter)
        : # any text
        return
        ;;
    --max-worker-lifetime)
        : # any text
        return
        ;;
    --max-worker-lifetime-jitter)
        : # any text
        return
        ;;
    --max-worker-rss)
        : # any text
        return
        ;;
    --recycle-share)
        : # any text
        return
        ;;
    --replace)
        _cgunicorn_words "$current" after before
        return
        ;;
    -t | --timeout)
        : # any text
        return
        ;;
    --graceful-timeout)
        : # any text
        return
        ;;
    --request-timeout)
        : # any text
        return
        ;;
    --slow-request)
        : # any text
        return
        ;;
    --overload)
        _cgunicorn_words "$current" auto off
        return
        ;;
    --max-queue-time)
        : # any text
        return
        ;;
    --abandoned-after)
        : # any text
        return
        ;;
    --overload-exempt)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --warmup)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --shutdown-delay)
        : # any text
        return
        ;;
    --keep-alive)
        : # any text
        return
        ;;
    --asgi-loop)
        _cgunicorn_words "$current" auto asyncio uvloop
        return
        ;;
    --asgi-lifespan)
        _cgunicorn_words "$current" auto on off
        return
        ;;
    --asgi-disconnect-grace-period)
        : # any text
        return
        ;;
    --http-parser)
        _cgunicorn_words "$current" auto fast python
        return
        ;;
    --websocket-max-message-size)
        : # any text
        return
        ;;
    --websocket-ping-interval)
        : # any text
        return
        ;;
    --websocket-ping-timeout)
        : # any text
        return
        ;;
    --limit-request-line)
        : # any text
        return
        ;;
    --limit-request-fields)
        : # any text
        return
        ;;
    --limit-request-field_size)
        : # any text
        return
        ;;
    --max-head-size)
        : # any text
        return
        ;;
    --header-timeout)
        : # any text
        return
        ;;
    --body-timeout)
        : # any text
        return
        ;;
    --body-min-rate)
        : # any text
        return
        ;;
    --max-request-body)
        : # any text
        return
        ;;
    --write-timeout)
        : # any text
        return
        ;;
    --max-keepalive-requests)
        : # any text
        return
        ;;
    --reload-engine)
        _cgunicorn_words "$current" auto poll inotify
        return
        ;;
    --reload-extra-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --chdir)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    -e | --env)
        : # any text
        return
        ;;
    -p | --pid)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --worker-tmp-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    -u | --user)
        : # any text
        return
        ;;
    -g | --group)
        : # any text
        return
        ;;
    -m | --umask)
        : # any text
        return
        ;;
    --request-buffer-size)
        : # any text
        return
        ;;
    --request-memory)
        : # any text
        return
        ;;
    --request-disk)
        : # any text
        return
        ;;
    --response-file-size)
        : # any text
        return
        ;;
    --response-memory)
        : # any text
        return
        ;;
    --forwarded-allow-ips)
        : # any text
        return
        ;;
    --pythonpath)
        : # any text
        return
        ;;
    --python)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --paste | --paster)
        : # any text
        return
        ;;
    --paste-global)
        : # any text
        return
        ;;
    --proxy-protocol)
        : # any text
        return
        ;;
    --proxy-allow-from)
        : # any text
        return
        ;;
    --protocol)
        _cgunicorn_words "$current" http uwsgi
        return
        ;;
    --uwsgi-allow-from)
        : # any text
        return
        ;;
    --root-path)
        : # any text
        return
        ;;
    --forwarder-headers)
        : # any text
        return
        ;;
    --header-map)
        _cgunicorn_words "$current" drop refuse dangerous
        return
        ;;
    --access-logfile)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --access-log-skip)
        : # any text
        return
        ;;
    --access-logformat)
        : # any text
        return
        ;;
    --log-format)
        : # any text
        return
        ;;
    --request-id)
        : # any text
        return
        ;;
    --error-logfile | --log-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --log-level)
        _cgunicorn_words "$current" debug info warning error critical
        return
        ;;
    --logger-class)
        : # any text
        return
        ;;
    --log-config)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --log-config-json)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --log-syslog-to)
        : # any text
        return
        ;;
    --log-syslog-prefix)
        : # any text
        return
        ;;
    --log-syslog-facility)
        : # any text
        return
        ;;
    --statsd-host)
        : # any text
        return
        ;;
    --dogstatsd-tags)
        : # any text
        return
        ;;
    --statsd-prefix)
        : # any text
        return
        ;;
    -n | --name)
        : # any text
        return
        ;;
    --keyfile)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --certfile)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --ssl-version)
        : # any text
        return
        ;;
    --cert-reqs)
        : # any text
        return
        ;;
    --ca-certs)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --ciphers)
        : # any text
        return
        ;;
    --static)
        : # any text
        return
        ;;
    --static-expires)
        : # any text
        return
        ;;
    --static-index)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --static-fallback)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --static-missing)
        _cgunicorn_words "$current" application 404
        return
        ;;
    --sendfile-root)
        : # any text
        return
        ;;
    --http-protocols)
        : # any text
        return
        ;;
    --http2-cleartext)
        _cgunicorn_words "$current" off prior-knowledge upgrade both
        return
        ;;
    --http2-max-concurrent-streams)
        : # any text
        return
        ;;
    --http2-initial-window-size)
        : # any text
        return
        ;;
    --http2-max-frame-size)
        : # any text
        return
        ;;
    --http2-max-header-list-size)
        : # any text
        return
        ;;
    --dirty-app)
        : # any text
        return
        ;;
    --dirty-workers)
        : # any text
        return
        ;;
    --dirty-timeout)
        : # any text
        return
        ;;
    --dirty-threads)
        : # any text
        return
        ;;
    --dirty-graceful-timeout)
        : # any text
        return
        ;;
    --metrics-bind)
        : # any text
        return
        ;;
    --health-path)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --ready-path)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --control-socket)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --control-socket-mode)
        : # any text
        return
        ;;
    esac
    case ${COMP_WORDS[1]}:$COMP_CWORD in
    *:1) ;;
    status:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    top:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    requests:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    stacks:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help all; return ;;
    why:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    events:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    reload:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help --wait; return ;;
    scale:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    drain:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    resume:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    recycle:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help all; return ;;
    reopen:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help; return ;;
    loglevel:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help debug info warning error critical; return ;;
    upgrade:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help --wait; return ;;
    stop:*) _cgunicorn_words "$current" --json --pid --pidfile --name --timeout --help --now; return ;;
    generate:2) _cgunicorn_words "$current" systemd docker kubernetes nginx haproxy logrotate supervisor; return ;;
    esac
    if [[ $current == -* ]]; then
        _cgunicorn_words "$current" --help --version \
            -c \
            --config \
            --strict \
            -b \
            --bind \
            --backlog \
            -w \
            --workers \
            -k \
            --worker-class \
            --threads \
            --worker-connections \
            --max-requests \
            --max-requests-jitter \
            --max-worker-lifetime \
            --max-worker-lifetime-jitter \
            --max-worker-rss \
            --recycle-share \
            --replace \
            --no-connection-keeper \
            -t \
            --timeout \
            --graceful-timeout \
            --request-timeout \
            --slow-request \
            --overload \
            --max-queue-time \
            --abandoned-after \
            --overload-exempt \
            --warmup \
            --shutdown-delay \
            --keep-alive \
            --asgi-loop \
            --asgi-lifespan \
            --asgi-disconnect-grace-period \
            --http-parser \
            --websocket-max-message-size \
            --no-websocket-compression \
            --websocket-ping-interval \
            --websocket-ping-timeout \
            --no-native-asgi \
            --limit-request-line \
            --limit-request-fields \
            --limit-request-field_size \
            --max-head-size \
            --header-timeout \
            --body-timeout \
            --body-min-rate \
            --max-request-body \
            --write-timeout \
            --max-keepalive-requests \
            --allow-missing-host \
            --reload \
            --reload-engine \
            --reload-extra-file \
            --dev \
            --spew \
            --check-config \
            --show-secrets \
            --print-config \
            --preload \
            --no-sendfile \
            --reuse-port \
            --chdir \
            -D \
            --daemon \
            -e \
            --env \
            -p \
            --pid \
            --worker-tmp-dir \
            -u \
            --user \
            -g \
            --group \
            -m \
            --umask \
            --initgroups \
            --allow-new-privs \
            --request-buffer-size \
            --request-memory \
            --request-disk \
            --stream-requests \
            --response-file-size \
            --response-memory \
            --forwarded-allow-ips \
            --pythonpath \
            --python \
            --paste \
            --paster \
            --paste-global \
            --proxy-protocol \
            --proxy-allow-from \
            --protocol \
            --uwsgi-allow-from \
            --root-path \
            --permit-obsolete-folding \
            --strip-header-spaces \
            --permit-unconventional-http-method \
            --permit-unconventional-http-version \
            --casefold-http-method \
            --forwarder-headers \
            --header-map \
            --access-logfile \
            --access-log-skip \
            --disable-redirect-access-to-syslog \
            --access-logformat \
            --log-format \
            --request-id \
            --request-id-response \
            --error-logfile \
            --log-file \
            --log-level \
            --capture-output \
            --logger-class \
            --log-config \
            --log-config-json \
            --log-syslog-to \
            --log-syslog \
            --log-syslog-prefix \
            --log-syslog-facility \
            -R \
            --enable-stdio-inheritance \
            --statsd-host \
            --dogstatsd-tags \
            --statsd-prefix \
            --enable-backlog-metric \
            -n \
            --name \
            --keyfile \
            --certfile \
            --dev-cert \
            --redirect-https \
            --ssl-version \
            --cert-reqs \
            --ca-certs \
            --suppress-ragged-eofs \
            --do-handshake-on-connect \
            --ciphers \
            --static \
            --static-expires \
            --static-index \
            --static-fallback \
            --static-missing \
            --sendfile-root \
            --http-protocols \
            --http2-cleartext \
            --http2-max-concurrent-streams \
            --http2-initial-window-size \
            --http2-max-frame-size \
            --http2-max-header-list-size \
            --dirty-app \
            --dirty-workers \
            --dirty-timeout \
            --dirty-threads \
            --dirty-graceful-timeout \
            --no-control \
            --metrics-bind \
            --health-path \
            --ready-path \
            --control-socket \
            --control-socket-mode \
            --no-control-socket
        [[ ${COMP_WORDS[1]} != config ]] || COMPREPLY+=($(compgen -W '--running --pid' -- "$current"))
        [[ ${COMP_WORDS[1]} != check ]] || COMPREPLY+=($(compgen -W '--json' -- "$current"))
    elif [[ ${COMP_WORDS[1]} == config && $COMP_CWORD -eq 2 ]]; then
        _cgunicorn_words "$current" explain diff convert
    elif [[ ${COMP_WORDS[1]} == config && ${COMP_WORDS[2]} == explain ]]; then
        _cgunicorn_words "$current" \
            config \
            strict \
            wsgi_app \
            bind \
            backlog \
            workers \
            worker_class \
            threads \
            worker_connections \
            max_requests \
            max_requests_jitter \
            max_worker_lifetime \
            max_worker_lifetime_jitter \
            max_worker_rss \
            recycle_share \
            replace \
            connection_keeper \
            companions \
            timeout \
            graceful_timeout \
            request_timeout \
            slow_request \
            overload \
            max_queue_time \
            abandoned_after \
            overload_exempt \
            warmup \
            shutdown_delay \
            keepalive \
            asgi_loop \
            asgi_lifespan \
            asgi_disconnect_grace_period \
            http_parser \
            websocket_max_message_size \
            websocket_compression \
            websocket_ping_interval \
            websocket_ping_timeout \
            native_asgi \
            limit_request_line \
            limit_request_fields \
            limit_request_field_size \
            max_head_size \
            header_timeout \
            body_timeout \
            body_min_rate \
            max_request_body \
            write_timeout \
            max_keepalive_requests \
            allow_missing_host \
            reload \
            reload_engine \
            reload_extra_files \
            dev \
            spew \
            check_config \
            show_secrets \
            print_config \
            preload_app \
            sendfile \
            reuse_port \
            chdir \
            daemon \
            raw_env \
            pidfile \
            worker_tmp_dir \
            user \
            group \
            umask \
            initgroups \
            no_new_privs \
            tmp_upload_dir \
            request_buffer_size \
            request_memory \
            request_disk \
            request_buffering \
            response_file_size \
            response_memory \
            secure_scheme_headers \
            forwarded_allow_ips \
            pythonpath \
            python \
            paste \
            raw_paste_global_conf \
            proxy_protocol \
            proxy_allow_ips \
            protocol \
            uwsgi_allow_ips \
            root_path \
            permit_obsolete_folding \
            strip_header_spaces \
            permit_unconventional_http_method \
            permit_unconventional_http_version \
            casefold_http_method \
            forwarder_headers \
            header_map \
            accesslog \
            access_log_skip \
            disable_redirect_access_to_syslog \
            access_log_format \
            log_format \
            request_id \
            request_id_response \
            errorlog \
            loglevel \
            capture_output \
            logger_class \
            logconfig \
            logconfig_dict \
            logconfig_json \
            syslog_addr \
            syslog \
            syslog_prefix \
            syslog_facility \
            enable_stdio_inheritance \
            statsd_host \
            dogstatsd_tags \
            statsd_prefix \
            enable_backlog_metric \
            proc_name \
            default_proc_name \
            keyfile \
            certfile \
            certificates \
            dev_cert \
            redirect_https \
            ssl_version \
            cert_reqs \
            ca_certs \
            suppress_ragged_eofs \
            do_handshake_on_connect \
            ciphers \
            static \
            static_expires \
            static_index \
            static_fallback \
            static_missing \
            sendfile_root \
            http_protocols \
            http2_cleartext \
            http2_max_concurrent_streams \
            http2_initial_window_size \
            http2_max_frame_size \
            http2_max_header_list_size \
            dirty_apps \
            dirty_workers \
            dirty_timeout \
            dirty_threads \
            dirty_graceful_timeout \
            control \
            metrics_bind \
            health_path \
            ready_path \
            control_socket \
            control_socket_mode \
            control_socket_disable \
            on_starting \
            on_reload \
            when_ready \
            pre_fork \
            post_fork \
            post_worker_init \
            worker_int \
            worker_abort \
            pre_exec \
            pre_request \
            post_request \
            child_exit \
            worker_exit \
            nworkers_changed \
            on_exit \
            ssl_context \
            on_dirty_starting \
            dirty_post_fork \
            dirty_worker_init \
            dirty_worker_exit
    elif [[ $COMP_CWORD -eq 1 ]]; then
        _cgunicorn_words "$current" config check generate ctl status top requests stacks why events reload scale drain resume recycle reopen loglevel upgrade stop
    fi
}
complete -o bashdefault -o default -F _cgunicorn cgunicorn
